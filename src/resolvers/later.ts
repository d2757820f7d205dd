import type { QueryRunResolvers } from '../../schema/resolvers.ts'
import { TeatreeError } from '../platform/errors.ts'

/** SQL and query runs, which this release does not run yet. */
export const queryRuns: QueryRunResolvers = {
  get: async () => null,
  sql: refuse,
  start: refuse,
  cancel: refuse,
  model: refuse,
  rows: refuse,
  content: refuse,
}

async function refuse(): Promise<never> {
  throw new TeatreeError('UNAVAILABLE', 'This release does not run SQL or query runs yet.')
}
