import { expect, test } from 'vitest'
import { ResultCache } from '../../src/engine/result-cache.ts'

const rows = (count: number) => Array.from({ length: count }, (_, line) => ({ line, name: `row ${line}` }))

/** A read that is under way until it is told to end, and stops with its signal. */
function begun() {
  const { promise, resolve, reject } = Promise.withResolvers<object>()
  const seen = { count: 0, stopped: false }
  const read = (signal: AbortSignal) => {
    seen.count += 1
    signal.addEventListener('abort', () => {
      seen.stopped = true
      reject(signal.reason)
    })
    return promise
  }
  return { read, seen, end: resolve, fail: reject }
}

test('what has been read once is not read again', async () => {
  const results = new ResultCache()
  const found = rows(3)
  expect(await results.get('a', async () => found)).toBe(found)
  expect(await results.get('a', async () => rows(1))).toBe(found)
  expect(await results.get('b', async () => rows(1))).toEqual(rows(1))
})

test('those who ask for the same at once share one read', async () => {
  const results = new ResultCache()
  const { read, seen, end } = begun()
  const asked = [results.get('a', read), results.get('a', read)]
  end(rows(2))
  const [one, two] = await Promise.all(asked)
  expect(one).toBe(two)
  expect(seen.count).toBe(1)
})

test('who goes away takes the read from nobody else; the last one stops it, and the next begins anew', async () => {
  const results = new ResultCache()
  const { read, seen, end } = begun()
  const [first, second] = [new AbortController(), new AbortController()]
  const one = results.get('a', read, first.signal)
  const two = results.get('a', read, second.signal)
  first.abort(new Error('first is gone'))
  await expect(one).rejects.toThrow('first is gone')
  expect(seen.stopped).toBe(false)
  second.abort(new Error('second is gone'))
  await expect(two).rejects.toThrow('second is gone')
  expect(seen.stopped).toBe(true)
  end(rows(9))
  expect(await results.get('a', async () => rows(1))).toEqual(rows(1))
  await expect(results.get('a', read, AbortSignal.abort(new Error('gone before')))).rejects.toThrow('gone before')
})

test('who joins gets the read of those who wait, and is one of them until he leaves; what is kept is there at once', async () => {
  const results = new ResultCache()
  const { read, seen, end } = begun()
  const gone = new AbortController()
  const waits = results.get('a', read, gone.signal)
  const [one, two] = [results.join('a', read), results.join('a', read)]
  gone.abort(new Error('gone'))
  await expect(waits).rejects.toThrow('gone')
  one.leave()
  expect(seen).toEqual({ count: 1, stopped: false })
  end(rows(2))
  expect(await two.result).toEqual(rows(2))
  expect(results.join('a', read).result).toEqual(rows(2))
})

test('the last who leaves what he joined stops it, and the next begins anew', async () => {
  const results = new ResultCache()
  const { read, seen } = begun()
  const joined = [results.join('a', read), results.join('a', read)]
  for (const each of joined) each.leave()
  expect(seen.stopped).toBe(true)
  await expect(joined[0]?.result).rejects.toThrow()
  expect(await results.join('a', async () => rows(1)).result).toEqual(rows(1))
})

test('what failed is tried again', async () => {
  const results = new ResultCache()
  const { read, fail } = begun()
  const asked = [results.get('a', read), results.get('a', read)]
  fail(new Error('no disk'))
  for (const outcome of await Promise.allSettled(asked))
    expect(outcome).toMatchObject({ reason: { message: 'no disk' } })
  expect(await results.get('a', async () => rows(1))).toEqual(rows(1))
})

test('what ends after all have gone away is kept for nobody, whatever it ends with', async () => {
  const results = new ResultCache()
  const gone = new AbortController()
  const stopped = (signal: AbortSignal) =>
    new Promise<object>(resolve => signal.addEventListener('abort', () => resolve({ errors: ['stopped'] })))
  const asked = results.get('a', stopped, gone.signal)
  gone.abort(new Error('gone'))
  await expect(asked).rejects.toThrow('gone')
  expect(await results.get('a', async () => rows(1))).toEqual(rows(1))
})

test('a result that is not wanted is shared by those who asked at once, and not kept; nor is one that is too old', async () => {
  let now = 1
  const results = new ResultCache({ maxAgeMs: 1000, isKept: result => !('errors' in result), now: () => now })
  const failed = await Promise.all([
    results.get('a', async () => ({ errors: [] })),
    results.get('a', async () => rows(1)),
  ])
  expect(failed[0]).toBe(failed[1])
  const found = await results.get('a', async () => rows(1))
  now = 1001
  expect(await results.get('a', async () => rows(2))).toBe(found)
  now = 1002
  expect(await results.get('a', async () => rows(2))).toEqual(rows(2))
})

test('results are kept within a bound: the longest unused go, and one that is too large is never kept', async () => {
  const results = new ResultCache({ maxBytes: 100_000 })
  const reads: string[] = []
  const get = (key: string, count: number) =>
    results.get(key, async () => {
      reads.push(key)
      return rows(count)
    })
  for (const key of ['a', 'b', 'a']) await get(key, 10)
  for (let other = 0; other < 100; other++) {
    await get(`other ${other}`, 10)
    await get('a', 10)
  }
  await get('b', 10)
  expect(reads.filter(key => key === 'a')).toHaveLength(1)
  expect(reads.filter(key => key === 'b')).toHaveLength(2)
  for (let time = 0; time < 2; time++) await get('large', 1000)
  expect(reads.filter(key => key === 'large')).toHaveLength(2)
})
