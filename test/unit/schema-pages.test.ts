import { expect, test } from 'vitest'
import { listed } from '../../schema/pages.ts'

test('a large page is answered in pieces, between which others get their turn', async () => {
  const items = Array.from({ length: 1000 }, (_, index) => index)
  const edges = items.map(node => ({ node, cursor: () => '' }))
  let turns = 0
  let isOver = false
  const others = () => {
    if (isOver) return
    turns += 1
    setImmediate(others)
  }
  setImmediate(others)
  const answered: number[] = []
  for await (const item of listed({ edges, atOnce: false }, ({ node }) => node)) answered.push(item)
  isOver = true
  expect(answered).toEqual(items)
  expect(turns).toBeGreaterThanOrEqual(9)
})
