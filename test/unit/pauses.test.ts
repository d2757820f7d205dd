import { expect, test } from 'vitest'
import { Pauses } from '../../src/jobs/pauses.ts'

test('what fails again and again is left alone twice as long each time, up to the most, and by itself', () => {
  const pauses = new Pauses<string>({ first: 1000, most: 3000 })
  expect(pauses.isPaused('a')).toBe(false)
  expect([1, 2, 3, 4].map(() => pauses.failed('a'))).toEqual([1000, 2000, 3000, 3000])
  expect(pauses.failed('b')).toBe(1000)
  expect(pauses.paused()).toEqual(['a', 'b'])
  pauses.clear('a')
  expect(pauses.failed('a')).toBe(1000)
  pauses.rest('a', 0)
  expect(pauses.paused()).toEqual(['b'])
  expect(pauses.failed('a')).toBe(1000)
})
