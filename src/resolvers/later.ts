import type { QueryRunResolvers } from '../../schema/resolvers.ts'
import { TeatreeError } from '../platform/errors.ts'

/** Query runs, which this release does not run yet. */
export const queryRuns: Omit<QueryRunResolvers, 'sql'> = {
  get: async () => null,
  start: refuse,
  async cancel(id) {
    throw new TeatreeError('NOT_FOUND', `There is no query run ${id}.`)
  },
  model: refuse,
  rows: refuse,
  content: refuse,
}

async function refuse(): Promise<never> {
  throw new TeatreeError('STATEMENT_NOT_ALLOWED', 'This release runs no query runs yet.')
}
