import { stat } from 'node:fs/promises'
import type { Kind } from '../../kinds/kind.ts'
import type { Readers, SnapshotFiles, SnapshotReader } from '../engine.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { Connections, type ReadLimits } from './connections.ts'
import { databaseOf } from './database.ts'
import { DuckDBSnapshotReader } from './snapshot-reader.ts'
import { dropViews, emptyTables, snapshotTables } from './snapshot-tables.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'
import { type State, selectState, stateOf } from './state.ts'

/**
 * The readers of this process, for the DuckDB engine:
 *
 *   one DuckDB in memory ─┬─ ATTACH version 7 READ_ONLY as "snapshot 1" ── reader ── reads
 *    (its connections     ├─ ATTACH version 8 READ_ONLY as "snapshot 2" ── reader ── reads
 *     serve all readers)  └─ …                                 detached when the reader is closed and its reads are over
 */
export class DuckDBReaders implements Readers {
  readonly #connections: Connections
  readonly #open = new Set<SnapshotReader>()
  readonly #opening = new Set<Promise<unknown>>()
  #opened = 0
  #closed: Promise<void> | undefined

  private constructor(connections: Connections) {
    this.#connections = connections
  }

  static async start(limits: ReadLimits = {}): Promise<DuckDBReaders> {
    return new DuckDBReaders(await Connections.open(limits))
  }

  async open({ kind, files }: { kind: Kind; files: SnapshotFiles }): Promise<SnapshotReader> {
    if (this.#closed) throw new Error('the readers are closed')
    const opening = this.#attach(kind, files)
    this.#opening.add(opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(opening)
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #attach(kind: Kind, files: SnapshotFiles): Promise<SnapshotReader> {
    this.#opened += 1
    const alias = `snapshot ${this.#opened}`
    const isEmpty = Object.keys(files).length === 0
    const release = async (sql: DuckDBSql) => {
      await dropViews(sql, alias)
      if (!isEmpty) await sql.run(`DETACH DATABASE IF EXISTS ${quoted(alias)}`)
    }
    const { state, tables, base } = await this.#connections.use(async sql => {
      try {
        if (isEmpty)
          return { state: { version: 0, lastSeq: 0n }, tables: await emptyTables(sql, kind, alias), base: null }
        const state = await attach(sql, files, alias)
        const tables = await snapshotTables(sql, kind, alias, state.shape)
        return { state, tables, base: tables.areViews ? null : await fileId(databaseOf(files)) }
      } catch (error) {
        await release(sql)
        throw error
      }
    })
    const reader: SnapshotReader = new DuckDBSnapshotReader({
      connections: this.#connections,
      kind,
      state,
      tables,
      base,
      detach: async () => {
        this.#open.delete(reader)
        await this.#connections.use(release, { mustRun: true })
      },
    })
    this.#open.add(reader)
    return reader
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled(this.#opening)
    const closed = await Promise.allSettled([...this.#open].map(reader => reader.close()))
    this.#connections.close()
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason
  }
}

/** What it holds. Where this throws, it may be attached. */
async function attach(sql: DuckDBSql, files: SnapshotFiles, alias: string): Promise<State> {
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

/** Of all names of a file the same, as long as it has one. */
async function fileId(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true })
  return `${dev}:${ino}`
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
