import { expect, test } from 'vitest'
import { seededRandom } from '../../src/engine/seeded-random.ts'

test('the same seed gives the same numbers for ever, as ledgers are applied again by later releases', () => {
  const random = seededRandom('0e984725-c51c-4bf4-9960-e1c80e27aba0')
  expect([random(), random(), random()]).toEqual([0.3913844810696768, 0.9201755732261776, 0.5205747692213828])
})

test('other seeds give other numbers, uniform in [0, 1)', () => {
  const buckets = new Array(16).fill(0)
  for (let seed = 0; seed < 4000; seed++) {
    const random = seededRandom(String(seed))
    for (let draw = 0; draw < 4; draw++) {
      const number = random()
      expect(number).toBeGreaterThanOrEqual(0)
      expect(number).toBeLessThan(1)
      buckets[Math.floor(number * 16)] += 1
    }
  }
  // A thousand are expected in each; five standard deviations are 153.
  for (const count of buckets) expect(Math.abs(count - 1000)).toBeLessThan(160)
})
