import { expect, test } from 'vitest'
import { csv } from '../../src/demo/csv.ts'

test('who takes many rows as CSV hears of what happens meanwhile, as that it is to stop', async () => {
  const rows = Array.from({ length: 20_000 }, (_, row) => ({ row, text: 'quoted "as text"' }))
  let isHeard = false
  setImmediate(() => {
    isHeard = true
  })
  let [pieces, before] = [0, 0]
  for await (const piece of csv(['row', 'text'], rows)) {
    expect(piece.length).toBeGreaterThan(0)
    pieces++
    if (!isHeard) before++
  }
  expect(pieces).toBeGreaterThan(5)
  expect(before).toBeLessThan(pieces)
})
