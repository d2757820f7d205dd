import { expect, test } from 'vitest'
import { inPieces } from '../../src/platform/turns.ts'

/** Counts the turns of the event loop that others get meanwhile. */
async function turnsDuring(work: () => Promise<void>): Promise<number> {
  let turns = 0
  let isOver = false
  const others = () => {
    if (isOver) return
    turns += 1
    setImmediate(others)
  }
  setImmediate(others)
  await work()
  isOver = true
  return turns
}
const items = (length: number) => Array.from({ length }, (_, index) => index)

test('many items come in pieces, between which others get their turn', async () => {
  const taken: number[] = []
  const turns = await turnsDuring(async () => {
    for await (const item of inPieces(items(1000))) taken.push(item)
  })
  expect(taken).toEqual(items(1000))
  expect(turns).toBeGreaterThanOrEqual(9)
})

test('few items with much work on each do, too', async () => {
  const turns = await turnsDuring(async () => {
    for await (const _ of inPieces(items(5))) for (const end = performance.now() + 5; performance.now() < end; );
  })
  expect(turns).toBeGreaterThanOrEqual(4)
})

test('of those who work at the same time each has turns by itself', async () => {
  const workers = 8
  const work = async () => {
    for await (const _ of inPieces(items(300)));
  }
  // They begin together, and from then on one comes after the other.
  const turns = await turnsDuring(async () => {
    await Promise.all(items(workers).map(work))
  })
  expect(turns).toBeGreaterThanOrEqual(2 * workers)
})
