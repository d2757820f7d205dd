import { stat } from 'node:fs/promises'
import type { SnapshotFiles } from '../engine.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { databaseOf } from './database.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'
import { type State, selectState, stateOf } from './state.ts'

/**
 * Attaches a version's files, to be read alone, and answers what they hold. Where this throws, they may be attached.
 * @throws SnapshotMissing where one is not there (any more)
 */
export async function attach(sql: DuckDBSql, files: SnapshotFiles, alias: string): Promise<State> {
  const attaching = `ATTACH ${literal(databaseOf(files))} AS ${quoted(alias)} (READ_ONLY, TYPE duckdb)`
  try {
    const rows = await sql.script(`${attaching}; ${selectState(alias)}`)
    // A WAL that is gone would leave an older version behind, and no error.
    await allThere(files)
    return stateOf(rows)
  } catch (cause) {
    await allThere(files, cause)
    throw cause
  }
}

/** @throws SnapshotMissing where a file is not there. */
async function allThere(files: SnapshotFiles, cause?: unknown): Promise<void> {
  const missing = async ([name, path]: [string, string]) => {
    try {
      await stat(path)
    } catch (error) {
      if (!(error instanceof Error) || !('code' in error) || error.code !== 'ENOENT') throw error
      throw new SnapshotMissing(`the version's file ${name} is gone`, { cause })
    }
  }
  await Promise.all(Object.entries(files).map(missing))
}
