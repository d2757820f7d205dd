import { expect, test } from 'vitest'
import { Followed } from '../../src/jobs/followed.ts'

test('a log that has reached a position is not taken back by one who saw it earlier and tells it later', () => {
  const followed = new Followed<bigint>()
  using log = followed.follow('a')
  const { state } = log
  expect(followed.sawHead('a', 5n)).toBe(true)
  expect(followed.sawHead('a', 5n)).toBe(false)
  expect(followed.sawHead('a', 4n)).toBe(false)
  expect(followed.sawHead('a', 5n)).toBe(false)
  expect(followed.sawHead('a', 6n)).toBe(true)
  expect(followed.sawHead('a', null)).toBe(true)
  expect(log.state).toBe(state)
})
