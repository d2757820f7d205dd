import { GraphQLError } from 'graphql'
import { expect, test } from 'vitest'
import { TeatreeError } from '../../src/platform/errors.ts'
import { formatError } from '../../src/resolvers/errors.ts'

interface Logged {
  err: unknown
  id: string
}
function formatting() {
  const logged: Logged[] = []
  const error = (fields: Readonly<Record<string, unknown>> | string) => {
    if (typeof fields === 'object') logged.push(fields as unknown as Logged)
  }
  return { logged, format: formatError({ error }) }
}
/** As GraphQL wraps what a resolver throws. */
const located = (originalError: Error) =>
  new GraphQLError(originalError.message, { path: ['model', 'name'], originalError })

test('what may be shown is shown with its code, cells and details, and without its cause', () => {
  const { format, logged } = formatting()
  const cells = [{ row: 1, column: 'amount', message: 'is required' }]
  const error = new TeatreeError('BAD_VALUE', 'rows: wrong', {
    cells,
    details: { path: 'rows' },
    cause: new Error('secret'),
  })
  const shown = format(located(error))
  expect(shown.toJSON()).toEqual({
    message: 'rows: wrong',
    path: ['model', 'name'],
    extensions: { code: 'BAD_VALUE', cells, details: { path: 'rows' } },
  })
  expect(shown.originalError).toBeUndefined()
  expect(format(new TeatreeError('RATE_LIMITED', 'later')).toJSON()).toEqual({
    message: 'later',
    extensions: { code: 'RATE_LIMITED' },
  })
  expect(logged).toEqual([])
})

test('anything else is a fault of ours, which only the log sees, under the id that is shown', () => {
  const { format, logged } = formatting()
  const fault = new Error('/var/lib/secret is missing')
  const shown = format(located(fault)).toJSON()
  expect(shown.extensions).toEqual({ code: 'INTERNAL' })
  expect(shown.message).not.toContain('secret')
  expect(logged).toMatchObject([{ err: fault, path: 'model.name' }])
  expect(shown.message).toContain(logged[0]?.id)
  expect(format('thrown text').extensions).toEqual({ code: 'INTERNAL' })
})

test("GraphQL's own errors stay as they are", () => {
  const { format, logged } = formatting()
  const own = new GraphQLError('Cannot query field "x".', { extensions: { code: 'GRAPHQL_VALIDATION_FAILED' } })
  expect(format(own)).toBe(own)
  const wrapped = new GraphQLError('Variable "$x" is wrong', { originalError: own })
  expect(format(wrapped)).toBe(wrapped)
  expect(logged).toEqual([])
})

test('an aborted request is no fault', () => {
  const { format, logged } = formatting()
  const aborted = AbortSignal.abort().reason as Error
  expect(format(located(aborted)).extensions.code).toBe('UNAVAILABLE')
  expect(logged).toEqual([])
})
