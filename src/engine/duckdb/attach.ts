import { stat } from 'node:fs/promises'
import type { SnapshotFiles } from '../engine.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { databaseOf } from './database.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'

/** Attaches a version's files, to be read alone. @throws SnapshotMissing where one is not there (any more) */
export async function attach(sql: DuckDBSql, files: SnapshotFiles, alias: string): Promise<void> {
  const path = databaseOf(files)
  try {
    await sql.run(`ATTACH ${literal(path)} AS ${quoted(alias)} (READ_ONLY, TYPE duckdb)`)
  } catch (cause) {
    await allThere(files, cause)
    throw cause
  }
  try {
    // A WAL that is gone would leave an older version behind, and no error.
    await allThere(files)
  } catch (error) {
    await sql.run(`DETACH ${quoted(alias)}`)
    throw error
  }
}

/** @throws SnapshotMissing where a file is not there. */
async function allThere(files: SnapshotFiles, cause?: unknown): Promise<void> {
  for (const [name, path] of Object.entries(files)) {
    try {
      await stat(path)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error
      throw new SnapshotMissing(`the version's file ${name} is gone`, { cause })
    }
  }
}
