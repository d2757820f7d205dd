import { availableParallelism } from 'node:os'
import type { DuckDBSql } from './sql.ts'

/**
 * Does the work with as many of DuckDB's threads as there are cores; it must leave no transaction open. For what reads files and
 * committed tables. What joins tables of the same transaction has no use for it: on two threads that takes twice the processor's
 * time, and no less by the clock.
 */
export async function onAllCores<T>(sql: DuckDBSql, work: () => Promise<T>): Promise<T> {
  const [setting] = await sql.all(`SELECT current_setting('threads') AS threads`)
  await sql.run(`SET threads = ${availableParallelism()}`)
  const back = () => sql.run(`SET threads = ${Number(setting?.threads)}`)
  let result: T
  try {
    result = await work()
  } catch (error) {
    // It is the first error that says why.
    await back().catch(() => {})
    throw error
  }
  await back()
  return result
}
