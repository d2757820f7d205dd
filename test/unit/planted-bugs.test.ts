import { expect, test } from 'vitest'
import { ALWAYS, BUGS, checkChanges, planted } from '../faults/harness/bugs.ts'
import { INVARIANTS } from '../faults/harness/history.ts'

test('every bug that the fault harness plants, and what is other in every schedule, fits the source as it is', () => {
  expect(ALWAYS).not.toEqual([])
  expect(() => checkChanges(new URL('../../', import.meta.url))).not.toThrow()
  for (const { breaks } of Object.values(BUGS)) for (const each of breaks) expect(INVARIANTS[each]).toBeTruthy()
})

test('a change that does not fit the source is not made', () => {
  const bug = { file: 'f.ts', from: 'a', to: 'b' }
  expect(planted('a c', bug)).toBe('b c')
  expect(() => planted('a a', bug)).toThrow('there 2 times')
  expect(() => planted('c', bug)).toThrow('there 0 times')
})
