import { mkdir } from 'node:fs/promises'
import type { Column, KindShape } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { checkArchived, checkRows } from '../duckdb/archived-tables.ts'
import { inMemory } from '../duckdb/in-memory.ts'
import type { DuckDBSql } from '../duckdb/sql.ts'
import type { ArchivedVersion, MadeSnapshot, RestoreOptions, TableRows } from '../engine.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { polarsType } from './columns.ts'
import { literalPath } from './frames.ts'
import { type TableFile, writeManifest } from './manifest.ts'
import pl from './polars.ts'
import { rowsIn } from './row-writes.ts'
import { type ScratchFile, ScratchFiles } from './scratch-files.ts'
import { fileRows, writeRows } from './write-rows.ts'

/**
 * Makes the files of an archived version from the Parquet of its tables; nothing but the shape is needed to know what it is.
 * @throws TeatreeError BAD_FILE
 * @throws SurroundingsError, or the signal's reason
 */
export async function restoreModel(
  archived: ArchivedVersion,
  dir: string,
  { signal = new AbortController().signal, onTable = () => {} }: RestoreOptions = {},
): Promise<MadeSnapshot> {
  try {
    await mkdir(dir, { recursive: true })
    const scratch = new ScratchFiles(dir)
    const tables: Record<string, TableFile[]> = {}
    const rows: TableRows[] = []
    // DuckDB looks at the Parquet first: what is none, Polars may end its process on.
    await inMemory(null, async sql => {
      for (const [name, shape] of Object.entries(archived.shape)) {
        signal.throwIfAborted()
        onTable(name)
        signal.throwIfAborted()
        const files = await restoreTable({ scratch, signal, sql }, archived, name, shape)
        tables[name] = []
        for (const file of files) tables[name].push(await scratch.seal(file))
        rows.push({ name, rows: rowsIn(files) })
      }
    })
    const { version, lastSeq, shape } = archived
    const manifest = await writeManifest(dir, { version, lastSeq, shape, tables })
    const files = Object.values(tables).flat()
    return { files: [manifest, ...files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))], tables: rows }
  } catch (error) {
    if (signal.aborted) throw signal.reason
    throw error instanceof TeatreeError ? error : new SurroundingsError('the model could not be restored', error)
  }
}

async function restoreTable(
  context: { scratch: ScratchFiles; signal: AbortSignal; sql: DuckDBSql },
  { tables }: ArchivedVersion,
  name: string,
  shape: KindShape[string],
): Promise<ScratchFile[]> {
  const checked = await checkArchived(context.sql, tables, name, shape)
  const columns = new Map<string, Column>()
  for (const [index, column] of Object.keys(shape.columns).entries()) {
    const { type, nullable } = checked.columns[index] ?? {}
    if (type !== undefined)
      columns.set(column, { name: column, type, nullable: nullable ?? true, description: undefined })
  }
  const rows = pl
    .scanParquet(literalPath(tables[name]?.path ?? ''))
    .select([...columns.values()].map(({ name, type }) => pl.col(name).cast(polarsType(type), true)))
  const [counted] = await context.sql.all(`SELECT count(*) AS rows FROM ${checked.source}`)
  checkRows(name, Number(counted?.rows), checked.rows)
  const table = { name, columns, key: shape.key }
  return writeRows(context, table, rows, 0, checked.rows > fileRows(checked.rows) ? { rows: checked.rows } : undefined)
}
