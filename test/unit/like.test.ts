import { expect, test } from 'vitest'
import { isLike } from '../../src/jobs/offline/like.ts'

test.each([
  ['tea', 'tea', true],
  ['tea', 'te', false],
  ['tea', 'tea_', false],
  ['tea', 't_a', true],
  ['tea', '%', true],
  ['', '%', true],
  ['', '', true],
  ['', '_', false],
  ['north tea', 'north%', true],
  ['north tea', '%tea', true],
  ['north tea', '%tea%north%', false],
  ['aXbXc', 'a%X%c', true],
  ['aab', '%ab', true],
  ['100%', '100\\%', true],
  ['1000', '100\\%', false],
  ['a_b', 'a\\_b', true],
  ['a.b', 'a_b', true],
  ['aab', 'a.b', false],
  ['\\', '\\\\', true],
  ['zwei\nzeilen', 'zwei%', true],
  ['Tea', 'tea', false],
  ['🍵', '_', true],
])('%j is like %j: %s', (text, pattern, is) => {
  expect(isLike(text, pattern)).toBe(is)
})

test('a pattern of many parts takes no time', () => {
  expect(isLike('a'.repeat(200), `${'%a'.repeat(90)}%b`)).toBe(false)
})
