import { expect, test } from 'vitest'
import { intervalsBetween, split } from '../../models/goals/intervals.ts'

test('a period is split into whole intervals, which follow one another from its first day to its last', () => {
  for (const interval of ['MONTH', 'QUARTER', 'YEAR'] as const)
    for (const [from, to] of [
      ['2011-01-01', '2014-01-01'],
      ['2012-01-01', '2013-01-01'],
    ] as const)
      for (let most = 1; most <= 40; most++) {
        const parts = split({ from, to }, interval, most)
        expect(parts.length).toBeLessThanOrEqual(most)
        expect([parts[0]?.from, parts.at(-1)?.to]).toEqual([from, to])
        expect(parts.slice(1).map(part => part.from)).toEqual(parts.slice(0, -1).map(part => part.to))
        const lengths = parts.map(part => intervalsBetween(part.from, part.to, interval))
        expect(lengths.every(length => Number.isInteger(length) && length >= 1)).toBe(true)
        if (most >= intervalsBetween(from, to, interval)) expect(new Set(lengths)).toEqual(new Set([1]))
      }
})
