import { expect, test } from 'vitest'
import { Together } from '../../src/jobs/together.ts'

/** Runs that end when they are told to. */
function held() {
  const runs: { items: readonly string[]; end: (result?: Error) => void }[] = []
  const together = new Together<string, string>(
    items =>
      new Promise((resolve, reject) => {
        const end = (error?: Error) =>
          error
            ? reject(error)
            : resolve(
                items.map(item =>
                  item === 'bad' ? { status: 'rejected', reason: item } : { status: 'fulfilled', value: item },
                ),
              )
        runs.push({ items, end })
      }),
    // 'large' has as many bytes as are run at once, and 'enormous' has more.
    { items: 3, bytes: 5, bytesOf: item => item.length },
  )
  return { runs, together }
}

test('alone an item runs at once; those that come in meanwhile run together, in order, up to the bound', async () => {
  const { runs, together } = held()
  const results = ['a', 'b', 'c', 'd', 'e'].map(item => together.add(item))
  expect(runs.map(({ items }) => items)).toEqual([['a']])
  runs[0]?.end()
  await results[0]
  expect(runs.map(({ items }) => items)).toEqual([['a'], ['b', 'c', 'd']])
  runs[1]?.end()
  await results[3]
  runs[2]?.end()
  expect(await Promise.all(results)).toEqual(['a', 'b', 'c', 'd', 'e'])
  expect(together.isIdle).toBe(true)
})

test('what one item got wrong is its own, and what a run throws is of all its items and not of the next', async () => {
  const { runs, together } = held()
  const first = together.add('a')
  const [bad, good] = [together.add('bad'), together.add('b')]
  runs[0]?.end(new Error('away'))
  await expect(first).rejects.toThrow('away')
  runs[1]?.end()
  await expect(bad).rejects.toBe('bad')
  expect(await good).toBe('b')
})

test('items are run together up to so many bytes, and one that has more alone', async () => {
  const { runs, together } = held()
  const items = ['a', 'large', 'b', 'c', 'enormous', 'd']
  const results = items.map(item => together.add(item))
  const expected = [['a'], ['large'], ['b', 'c'], ['enormous'], ['d']]
  for (const [index, run] of expected.entries()) {
    expect(runs[index]?.items).toEqual(run)
    runs[index]?.end()
    await results[items.indexOf(run.at(-1) ?? '')]
  }
  expect(await Promise.all(results)).toHaveLength(6)
})
