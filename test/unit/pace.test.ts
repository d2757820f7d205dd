import { expect, test } from 'vitest'
import { Pace } from '../../src/jobs/pace.ts'

const batch = (intents: number, startedAt: number, costMs: number, more = false) => ({
  intents,
  more,
  startedAt,
  endedAt: startedAt + costMs,
})

test('what comes alone waits for nothing, however quickly it comes again', () => {
  const pace = new Pace()
  expect(pace.restMs(0)).toBe(0)
  for (let at = 0; at < 100; at += 10) {
    pace.published(batch(1, at, 10))
    expect(pace.restMs(at + 10)).toBe(0)
  }
})

test('in a flood, publishing takes a third of the time, by what it has cost', () => {
  const pace = new Pace()
  pace.published(batch(7, 1000, 10))
  expect([pace.restMs(1010), pace.restMs(1025), pace.restMs(1031)]).toEqual([20, 5, 0])
  pace.published(batch(7, 2000, 30))
  expect(pace.restMs(2030)).toBe(30)
})

test('nobody rests longer than a quarter of a second, and nobody when others wait already', () => {
  const pace = new Pace()
  pace.published(batch(7, 0, 200))
  expect(pace.restMs(200)).toBe(50)
  pace.published(batch(2000, 1000, 200, true))
  expect(pace.restMs(1200)).toBe(0)
})
