import { expect, test } from 'vitest'
import { PerKey } from '../../src/jobs/per-key.ts'

function held() {
  const begun: string[] = []
  const gates: (() => void)[] = []
  const perKey = new PerKey(async key => {
    begun.push(key)
    await new Promise<void>(resolve => gates.push(resolve))
  })
  const turn = () => new Promise<void>(resolve => setImmediate(resolve))
  return {
    begun,
    perKey,
    turn,
    async end() {
      gates.shift()?.()
      await turn()
    },
  }
}

test('whoever asks while a run is under way is served by one next run', async () => {
  const { begun, perKey, end } = held()
  for (let n = 0; n < 5; n++) perKey.request('a')
  expect(begun).toEqual(['a'])
  await end()
  expect(begun).toEqual(['a', 'a'])
  await end()
  expect(begun).toEqual(['a', 'a'])
  perKey.request('a')
  expect(begun).toEqual(['a', 'a', 'a'])
})

test('one key does not wait for another', () => {
  const { begun, perKey } = held()
  for (const key of ['a', 'b', 'a', 'c']) perKey.request(key)
  expect(begun).toEqual(['a', 'b', 'c'])
})

test('closing waits for what is under way, and begins nothing', async () => {
  const { begun, perKey, end, turn } = held()
  perKey.request('a')
  perKey.request('a')
  let closed = false
  const closing = perKey.close().then(() => {
    closed = true
  })
  await turn()
  expect(closed).toBe(false)
  await end()
  await closing
  perKey.request('b')
  expect(begun).toEqual(['a'])
})
