import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { SnapshotFiles } from '../engine.ts'
import { copyForUse } from './snapshot-files.ts'
import { DuckDBSql } from './sql.ts'

/** What one writer may use of the machine. */
export interface WriterResources {
  /** DuckDB's own threads; half of the cores where left out, as the readers want the rest. */
  threads?: number
  /** Bytes; a quarter of the machine's memory (or the container's) where left out. What needs more is spilled to `dir`. */
  memoryBytes?: number
}

/** The file of a database, as snapshots have it too. */
export const DATABASE = 'model.duckdb'

/** One connection to the database, and SQL over it. */
export interface ModelConnection {
  connection: DuckDBConnection
  sql: DuckDBSql
  close(): void
}

/** A model's database, open for writing through the one connection; `close` closes all of it. */
export interface ModelDatabase extends ModelConnection {
  path: string
  /** Another connection, for what must leave no TEMP tables behind. Only one of them may be in a transaction. */
  another(): Promise<ModelConnection>
}

/** Opens the database in `dir`, which is begun as a copy of `from`; the published files themselves are never opened. */
export async function openDatabase(
  dir: string,
  from: SnapshotFiles | null,
  { threads, memoryBytes }: WriterResources,
): Promise<ModelDatabase> {
  for (const [name, path] of Object.entries(from ?? {})) await copyForUse(path, join(dir, name))
  const path = join(dir, DATABASE)
  const instance = await DuckDBInstance.create(path, {
    threads: String(threads ?? Math.max(1, Math.floor(availableParallelism() / 2))),
    memory_limit: `${Math.ceil((memoryBytes ?? machineMemory() / 4) / 1024)}KiB`,
    temp_directory: join(dir, 'spill'),
    // Snapshots checkpoint; in between, DuckDB would do it at a moment of its own choosing.
    checkpoint_threshold: '1TiB',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
  })
  try {
    const first = await connect(instance)
    const close = () => {
      first.close()
      instance.closeSync()
    }
    return { ...first, path, close, another: () => connect(instance) }
  } catch (error) {
    instance.closeSync()
    throw error
  }
}

async function connect(instance: DuckDBInstance): Promise<ModelConnection> {
  const connection = await instance.connect()
  const sql = new DuckDBSql(connection)
  const close = () => connection.closeSync()
  try {
    await sql.run(`SET TimeZone = 'UTC'; PRAGMA disable_checkpoint_on_shutdown`)
    return { connection, sql, close }
  } catch (error) {
    close()
    throw error
  }
}

function machineMemory(): number {
  const constrained = process.constrainedMemory()
  return constrained > 0 ? Math.min(constrained, totalmem()) : totalmem()
}
