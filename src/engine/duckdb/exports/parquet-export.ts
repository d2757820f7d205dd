import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { TablePlan } from '../../plan.ts'
import { type DuckDBSql, literal, quoted } from '../sql.ts'
import { type Scope, tableOf } from '../statement.ts'
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
    const bytes = await synced(part)
    // A small table is written before DuckDB hears that it should stop.
    signal?.throwIfAborted()
    await rename(part, path)
    await synced(dirname(path))
    return { bytes, rows: Number(written?.Count) }
  } catch (error) {
    await rm(part, { force: true })
    throw error
  }
}

/** Brings a file or a folder to the disk; answers with its size. */
async function synced(path: string): Promise<number> {
  const handle = await open(path)
  try {
    await handle.sync()
    return (await handle.stat()).size
  } finally {
    await handle.close()
  }
}
