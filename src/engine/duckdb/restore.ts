import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { KindShape } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { syncPath } from '../../platform/sync-path.ts'
import { manifestDigest } from '../blocks.ts'
import type { ArchivedVersion, MadeSnapshot, RestoreOptions, TableRows } from '../engine.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { checkArchived, checkRows } from './archived-tables.ts'
import { DATABASE, openDatabase, type WriterResources } from './database.ts'
import { interruptible } from './interruptible.ts'
import { changed } from './row-writes.ts'
import { blockManifest } from './snapshot-files.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import { createState, writeState } from './state.ts'
import { transaction } from './transaction.ts'

/** Where DuckDB spills to while it restores. */
const SPILL = 'spill'

/**
 * Makes the file of an archived version from the Parquet of its tables: in one transaction, and nothing but the shape is
 * needed to know what it is.
 * @throws TeatreeError BAD_FILE
 * @throws SurroundingsError, or the signal's reason
 */
export async function restoreModel(
  archived: ArchivedVersion,
  dir: string,
  { signal, onTable = () => {}, ...resources }: RestoreOptions & WriterResources = {},
): Promise<MadeSnapshot> {
  const stop = signal ?? new AbortController().signal
  try {
    await mkdir(dir, { recursive: true })
    const tables: TableRows[] = []
    const db = await openDatabase(dir, null, resources)
    try {
      await interruptible(db.connection, stop, async () => {
        await transaction(db.sql, async () => {
          await createState(db.sql, archived.shape)
          for (const [name, shape] of Object.entries(archived.shape)) {
            stop.throwIfAborted()
            onTable(name)
            tables.push({ name, rows: await restoreTable(db.sql, archived, name, shape) })
          }
          await writeState(db.sql, archived)
        })
        await db.sql.run('CHECKPOINT')
      })
    } finally {
      db.close()
    }
    await rm(join(dir, SPILL), { recursive: true, force: true })
    const path = join(dir, DATABASE)
    await syncPath(path)
    await syncPath(dir)
    const manifest = await blockManifest(path)
    return { files: [{ name: DATABASE, bytes: manifest.bytes, sha256: manifestDigest(manifest.blocks) }], tables }
  } catch (error) {
    if (stop.aborted) throw stop.reason
    throw error instanceof TeatreeError ? error : new SurroundingsError('the model could not be restored', error)
  }
}

async function restoreTable(
  sql: DuckDBSql,
  { tables }: ArchivedVersion,
  name: string,
  shape: KindShape[string],
): Promise<number> {
  const { source, columns, rows: expected } = await checkArchived(sql, tables, name, shape)
  const lines = columns.map(({ column, type, nullable }) => `${column} ${type}${nullable ? '' : ' NOT NULL'}`)
  await sql.run(`CREATE TABLE ${quoted(name)} (${lines.join(', ')})`)
  const list = columns.map(({ column }) => column).join(', ')
  const rows = await changed(sql, `INSERT INTO ${quoted(name)} (${list}) SELECT ${list} FROM ${source}`)
  checkRows(name, rows, expected)
  return rows
}
