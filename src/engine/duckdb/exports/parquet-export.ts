import { randomUUID } from 'node:crypto'
import { rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncPath } from '../../../platform/sync-path.ts'
import type { TablePlan } from '../../plan.ts'
import { tableOf } from '../../plan-tables.ts'
import { type DuckDBSql, literal, quoted } from '../sql.ts'
import type { Scope } from '../statement.ts'
import { columnsOf, compileTable } from './table-sql.ts'

/**
 * Rows of a table as one Parquet file, in the order in which they are stored. It is there whole or not at all: written
 * under a name of its own beside it, synced, renamed.
 */
export async function exportParquet(
  sql: DuckDBSql,
  scope: Scope,
  plan: TablePlan,
  path: string,
  signal?: AbortSignal,
): Promise<{ bytes: number; rows: number }> {
  const part = `${path}.${randomUUID()}.part`
  try {
    const columns = columnsOf(tableOf(scope.kind, plan.table), plan)
    const { text, params } = compileTable(
      scope,
      plan,
      columns.map(({ name }) => quoted(name)),
    )
    const [written] = await sql.all(`COPY (${text}) TO ${literal(part)} (FORMAT parquet, COMPRESSION zstd)`, params)
    await syncPath(part)
    const { size } = await stat(part)
    // A small table is written before DuckDB hears that it should stop.
    signal?.throwIfAborted()
    await rename(part, path)
    await syncPath(dirname(path))
    return { bytes: size, rows: Number(written?.Count) }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}
