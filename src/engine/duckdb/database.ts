import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { BlockManifest, Checksums, SnapshotFiles } from '../engine.ts'
import { type Instances, makeInstance } from './instances.ts'
import { machineMemory } from './machine-memory.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { copyChecked, copyWalChecked } from './snapshot-files.ts'
import { DuckDBSql, literal } from './sql.ts'
import { markUntouched } from './untouched.ts'

/** What one writer may use of the machine. */
export interface WriterResources {
  /** DuckDB's own threads but for imports, and functions that follow no other model, which have all cores; half of these where left out, as the readers want the rest. */
  threads?: number
  /** Bytes; a quarter of the machine's memory (or the container's) where left out. What needs more is spilled to `dir`. */
  memoryBytes?: number
  /** Where its instance is taken from; it makes one where left out. */
  instances?: Instances | undefined
}

/**
 * The file of a database. A version is one of that name, or a base with a WAL, which is the version only when the WAL is
 * replayed, as it is by whoever attaches the base beside it.
 */
export const DATABASE = 'model.duckdb'
export const BASE = 'base.duckdb'
/** What DuckDB calls the WAL of a database. */
export const walOf = (database: string): string => `${database}.wal`
export const BASE_WAL = walOf(BASE)

/** The path of the file by which a version is opened; undefined where it is of another engine. */
export const databaseIn = (files: SnapshotFiles): string | undefined => files[DATABASE] ?? files[BASE]

export function databaseOf(files: SnapshotFiles): string {
  const path = databaseIn(files)
  if (path === undefined) throw new Error(`a version on DuckDB has a file ${DATABASE} or ${BASE}`)
  return path
}

/** One connection to the database, and SQL over it. */
export interface ModelConnection {
  connection: DuckDBConnection
  sql: DuckDBSql
  /** What comes with each batch. */
  statements: PreparedStatements
  close(): void
}

/** A model's database, open for writing through the one connection; `close` closes all of it. */
export interface ModelDatabase extends ModelConnection {
  path: string
  /** Of the file that it was begun as a copy of. */
  manifest: BlockManifest | null
  /** Another connection, for what must leave no TEMP tables behind. Only one of them may be in a transaction. */
  another(): Promise<ModelConnection>
}

/**
 * Opens the database in `dir`, which is begun as a copy of `from`; the published files themselves are never opened.
 * @throws SnapshotDamaged where they are not what their checksums say
 */
export async function openDatabase(
  dir: string,
  from: SnapshotFiles | null,
  { threads, memoryBytes, instances, checksums }: WriterResources & { checksums?: Checksums | undefined },
): Promise<ModelDatabase> {
  const path = join(dir, DATABASE)
  let manifest: BlockManifest | null = null
  if (from) {
    const name = DATABASE in from ? DATABASE : BASE
    manifest = await copyChecked(databaseOf(from), path, checksums?.[name])
    await markUntouched(path)
  }
  const wal = from?.[BASE_WAL]
  if (wal !== undefined) await copyWalChecked(wal, walOf(path), checksums?.[BASE_WAL])
  const settings = {
    threads: String(threads ?? Math.max(1, Math.floor(availableParallelism() / 2))),
    memory_limit: `${Math.ceil((memoryBytes ?? machineMemory() / 4) / 1024)}KiB`,
    // New bases checkpoint; in between, DuckDB would do it at a moment of its own choosing.
    checkpoint_threshold: '1TiB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  }
  const instance = await (instances ? instances.take(settings) : makeInstance(settings))
  try {
    const first = await connect(instance, [
      `SET temp_directory = ${literal(join(dir, 'spill'))}`,
      'PRAGMA disable_checkpoint_on_shutdown',
      `ATTACH ${literal(path)} AS model (TYPE duckdb)`,
    ])
    const close = () => {
      first.close()
      instance.closeSync()
    }
    return { ...first, path, manifest, close, another: () => connect(instance) }
  } catch (error) {
    instance.closeSync()
    throw error
  }
}

/** @param first what the instance's first connection has to do */
async function connect(instance: DuckDBInstance, first: readonly string[] = []): Promise<ModelConnection> {
  const connection = await instance.connect()
  const sql = new DuckDBSql(connection)
  const statements = new PreparedStatements(connection)
  const close = () => {
    statements.forget('')
    connection.closeSync()
  }
  try {
    await sql.run([`SET TimeZone = 'UTC'`, ...first, 'USE model'].join('; '))
    return { connection, sql, statements, close }
  } catch (error) {
    close()
    throw error
  }
}
