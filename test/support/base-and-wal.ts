import { copyFile, link } from 'node:fs/promises'
import { join } from 'node:path'
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api'
import type { SnapshotFiles } from '../../src/engine/engine.ts'

/** A database whose versions are an immutable base and a copy of the WAL, as one that publishes without a checkpoint leaves them. */
export interface WalDatabase extends Disposable {
  /** Does the statements in one transaction, and copies what is a version then into `dir`. */
  publish(dir: string, ...statements: string[]): Promise<SnapshotFiles>
}

/** Begins as a copy of `from`, or empty, in `dir`; `fill` becomes the base. */
export async function openWalDatabase(
  dir: string,
  { from, fill = [] }: { from?: string; fill?: readonly string[] },
): Promise<WalDatabase> {
  const path = join(dir, 'writer.duckdb')
  if (from !== undefined) await copyFile(from, path)
  const instance = await DuckDBInstance.create(path, { checkpoint_threshold: '1TiB', threads: '2' })
  const connection = await instance.connect()
  await connection.run('PRAGMA disable_checkpoint_on_shutdown')
  await runAll(connection, fill)
  await connection.run('CHECKPOINT')
  const base = join(dir, 'the-base.duckdb')
  await copyFile(path, base)
  return {
    async publish(into, ...statements) {
      await runAll(connection, ['BEGIN', ...statements, 'COMMIT'])
      const files = { 'base.duckdb': join(into, 'base.duckdb'), 'base.duckdb.wal': join(into, 'base.duckdb.wal') }
      await link(base, files['base.duckdb'])
      await copyFile(`${path}.wal`, files['base.duckdb.wal'])
      return files
    },
    [Symbol.dispose]() {
      connection.closeSync()
      instance.closeSync()
    },
  }
}

async function runAll(connection: DuckDBConnection, statements: readonly string[]): Promise<void> {
  for (const statement of statements) await connection.run(statement)
}
