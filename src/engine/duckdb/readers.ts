import { stat } from 'node:fs/promises'
import type { Kind } from '../../kinds/kind.ts'
import type { Readers, SnapshotFiles, SnapshotReader } from '../engine.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { Connections, type ReadLimits } from './connections.ts'
import { databaseOf } from './database.ts'
import { DuckDBSnapshotReader } from './snapshot-reader.ts'
import { dropViews, emptyTables, snapshotTables } from './snapshot-tables.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'
import { readState } from './state.ts'

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
      if (!isEmpty) await sql.run(`DETACH ${quoted(alias)}`)
    }
    const { state, tables } = await this.#connections.use(async sql => {
      if (!isEmpty) await attach(sql, files, alias)
      try {
        if (isEmpty) return { state: { version: 0, lastSeq: 0n }, tables: await emptyTables(sql, kind, alias) }
        const state = await readState(sql, alias)
        return { state, tables: await snapshotTables(sql, kind, alias, state.shape) }
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
      detach: async () => {
        this.#open.delete(reader)
        this.#connections.forget(quoted(alias))
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

async function attach(sql: DuckDBSql, files: SnapshotFiles, alias: string): Promise<void> {
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
