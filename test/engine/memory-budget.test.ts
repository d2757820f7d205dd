import { expect, test } from 'vitest'
import { MemoryBudget } from '../../src/engine/arrow/memory-budget.ts'

const never = new AbortController().signal

/** Work that has begun when it says so, and goes on until it is let go. */
function held(budget: MemoryBudget, bytes: number, signal = never) {
  const [begun, release] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const work = async () => {
    begun.resolve()
    await release.promise
  }
  const done = budget.run(bytes, work, signal)
  return { begun: begun.promise, release: () => release.resolve(), done }
}

test('what does not fit beside the others waits, and those behind it wait with it', async () => {
  const budget = new MemoryBudget(100)
  const first = held(budget, 60)
  await first.begun
  const order: string[] = []
  const large = held(budget, 80)
  const small = held(budget, 10)
  for (const [name, { begun }] of Object.entries({ large, small })) begun.then(() => order.push(name))
  expect(order).toEqual([])
  first.release()
  await Promise.all([first.done, large.begun, small.begun])
  expect(order).toEqual(['large', 'small'])
  for (const each of [large, small]) each.release()
  await Promise.all([large.done, small.done])
})

test('what is more than all there is is refused, and who gives up makes room', async () => {
  const budget = new MemoryBudget(100)
  await expect(budget.run(101, async () => {}, never)).rejects.toMatchObject({ code: 'QUERY_TOO_EXPENSIVE' })
  const first = held(budget, 60)
  const patience = new AbortController()
  const large = held(budget, 80, patience.signal)
  const small = held(budget, 10)
  patience.abort(new Error('gave up'))
  await expect(large.done).rejects.toThrow('gave up')
  await small.begun
  for (const each of [first, small]) each.release()
  await Promise.all([first.done, small.done])
  await budget.run(100, async () => {}, never)
})
