import { availableParallelism } from 'node:os'
import type { DuckDBSql } from './sql.ts'

/**
 * Does the work with as many of DuckDB's threads as there are cores; it must leave no transaction open. For what computes for
 * long: what joins tables of the same transaction takes twice the processor's time on two threads, and no less by the clock.
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
