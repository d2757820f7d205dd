import { expect, test } from 'vitest'
import { newTraceparent, readTraceparent, traceIdOf, traceparent } from '../../src/platform/telemetry/index.ts'

const TRACE = '0af7651916cd43dd8448eb211c80319c'
const SPAN = 'b7ad6b7169203331'

test('a new traceparent is valid, unsampled and never the same', () => {
  const made = Array.from({ length: 100 }, newTraceparent)
  for (const each of made) expect(each).toMatch(/^00-[\da-f]{32}-[\da-f]{16}-00$/)
  expect(made.map(readTraceparent)).toEqual(made)
  expect(new Set(made.map(traceIdOf)).size).toBe(100)
})

test('there is none outside of a span', () => {
  expect(traceparent()).toBeUndefined()
})

test.each([`00-${TRACE}-${SPAN}-01`, `00-${TRACE}-${SPAN}-00`, `cc-${TRACE}-${SPAN}-ff-what-comes-later`])(
  '%s is one, and has its trace id',
  header => {
    expect(readTraceparent(header)).toBe(header)
    expect(traceIdOf(header)).toBe(TRACE)
  },
)

test.each([
  '',
  'nonsense',
  `00-${TRACE}-${SPAN}`,
  `00-${TRACE}-${SPAN}-01-more`,
  `ff-${TRACE}-${SPAN}-01`,
  `00-${TRACE.toUpperCase()}-${SPAN}-01`,
  `00-${'0'.repeat(32)}-${SPAN}-01`,
  `00-${TRACE}-${'0'.repeat(16)}-01`,
  `00-${TRACE}-${SPAN}-01\n`,
])('%j is none', header => {
  expect(readTraceparent(header)).toBeUndefined()
  expect(() => traceIdOf(header)).toThrow(TypeError)
})
