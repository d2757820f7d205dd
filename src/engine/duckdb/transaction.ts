import { reach } from '../../platform/kill-points.ts'
import type { DuckDBSql } from './sql.ts'

/**
 * Runs `work` between BEGIN and COMMIT; where that fails, nothing of it is left. The statement `last` goes with the COMMIT:
 * each call is a way through the thread pool and back.
 */
export const transaction = (sql: DuckDBSql, work: () => Promise<void>, last?: string): Promise<void> =>
  lateTransaction(
    sql,
    async begin => {
      await begin()
      await work()
    },
    last,
  )

/** The same for work that says when it begins to write: until then its statements are each by itself. */
export async function lateTransaction(
  sql: DuckDBSql,
  work: (begin: () => Promise<void>) => Promise<void>,
  last?: string,
): Promise<void> {
  let begun: Promise<void> | undefined
  const begin = () => {
    begun ??= sql.run('BEGIN')
    return begun
  }
  try {
    await work(begin)
    await begin()
    reach('duckdb.applied')
    await sql.run(last === undefined ? 'COMMIT' : `${last}; COMMIT`)
    reach('duckdb.committed')
  } catch (error) {
    // A database that is broken cannot roll back either, and it is the first error that says why.
    if (begun) await sql.run('ROLLBACK').catch(() => {})
    throw error
  }
}
