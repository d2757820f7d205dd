import { expect, test } from 'vitest'
import { inPieces } from '../../schema/pages.ts'

test('a large page is answered in pieces, between which others get their turn', async () => {
  const items = Array.from({ length: 1000 }, (_, index) => index)
  let turns = 0
  let isOver = false
  const others = () => {
    if (isOver) return
    turns += 1
    setImmediate(others)
  }
  setImmediate(others)
  const answered: number[] = []
  for await (const item of inPieces(items)) answered.push(item)
  isOver = true
  expect(answered).toEqual(items)
  expect(turns).toBeGreaterThanOrEqual(9)
})
