import { randomUUID } from 'node:crypto'
import { open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Table } from '../../kinds/kind.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'
import type { TableNames } from './where-sql.ts'

/**
 * A table as one Parquet file, with the kind's columns in the kind's order. It is there whole or not at all: written
 * under a name of its own beside it, synced, renamed.
 */
export async function exportParquet(
  sql: DuckDBSql,
  table: Table,
  names: TableNames,
  path: string,
  signal?: AbortSignal,
): Promise<{ bytes: number; rows: number }> {
  const part = `${path}.${randomUUID()}.part`
  try {
    const columns = [...table.columns.keys()].map(quoted).join(', ')
    const select = `SELECT ${columns} FROM ${names.table(table.name)}`
    const [written] = await sql.all(`COPY (${select}) TO ${literal(part)} (FORMAT parquet, COMPRESSION zstd)`)
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
