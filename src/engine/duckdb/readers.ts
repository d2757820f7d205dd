import { stat } from 'node:fs/promises'
import type { Kind } from '../../kinds/kind.ts'
import { EarlierAnswers } from '../earlier-answers.ts'
import type { Readers, SnapshotFiles, SnapshotReader, StoredResult, StreamFormat, VersionOpened } from '../engine.ts'
import { attach } from './attach.ts'
import { Connections, type ReadLimits } from './connections.ts'
import { databaseOf } from './database.ts'
import { type QueryLimits, QueryProcesses } from './queries/query-processes.ts'
import { resultRows, streamResult } from './queries/stored-result.ts'
import { DuckDBSnapshotReader } from './snapshot-reader.ts'
import { dropViews, emptyTables, snapshotTables } from './snapshot-tables.ts'
import { type DuckDBSql, quoted } from './sql.ts'

/**
 * The readers of this process, for the DuckDB engine:
 *
 *   one DuckDB in memory ─┬─ ATTACH version 7 READ_ONLY as "snapshot 1" ── reader ── reads
 *    (its connections     ├─ ATTACH version 8 READ_ONLY as "snapshot 2" ── reader ── reads
 *     serve all readers)  └─ …                                 detached when the reader is closed and its reads are over
 */
export class DuckDBReaders implements Readers {
  readonly #connections: Connections
  readonly #earlier: EarlierAnswers
  readonly #open = new Set<SnapshotReader>()
  readonly #opening = new Set<Promise<unknown>>()
  readonly #queries: QueryLimits
  #processes: QueryProcesses | null = null
  #opened = 0
  #holders = 1
  #closed: Promise<void> | undefined

  private constructor(connections: Connections, queries: QueryLimits) {
    this.#connections = connections
    this.#earlier = new EarlierAnswers(connections.results)
    this.#queries = queries
  }

  static async start(limits: ReadLimits = {}, queries: QueryLimits = {}): Promise<DuckDBReaders> {
    const readers = new DuckDBReaders(await Connections.open(limits), queries)
    if (queries.ready) readers.queryProcesses()
    return readers
  }

  /**
   * Answers every time with the same readers, as long as somebody has them: the places and the memory of all engines' reads
   * are of the one process. Each who got them closes them once; with the last they are closed.
   */
  static shared(queries: QueryLimits): () => Promise<DuckDBReaders> {
    let last: Promise<DuckDBReaders> | undefined
    return async () => {
      const there = await last?.catch(() => undefined)
      if (there && !there.#closed) {
        there.#holders += 1
        return there
      }
      last = DuckDBReaders.start({}, queries)
      return last
    }
  }

  /** What the versions are read by; another engine's readers have DuckDB do its part by the same. */
  get connections(): Connections {
    return this.#connections
  }

  /** Started when somebody first asks: most who read have no need of them. */
  queryProcesses(): QueryProcesses {
    this.#processes ??= new QueryProcesses(this.#queries)
    return this.#processes
  }

  async open({ kind, files, of }: { kind: Kind; files: SnapshotFiles; of?: VersionOpened }): Promise<SnapshotReader> {
    if (this.#closed) throw new Error('the readers are closed')
    const opening = this.#attach(kind, files, of ?? null)
    this.#opening.add(opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(opening)
    }
  }

  resultRows(
    result: StoredResult,
    page: { offset: number; limit: number },
    signal?: AbortSignal,
  ): Promise<unknown[][]> {
    return resultRows(this.#connections, result, page, signal)
  }

  streamResult(
    result: StoredResult,
    format: StreamFormat,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, void> {
    return streamResult(this.#connections, result, format, signal)
  }

  async closeProcesses(): Promise<void> {
    await this.#processes?.close()
  }

  close(): Promise<void> {
    this.#holders -= 1
    if (this.#holders > 0) return Promise.resolve()
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #attach(kind: Kind, files: SnapshotFiles, of: VersionOpened | null): Promise<SnapshotReader> {
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
    if (of) this.#earlier.opened(of)
    const reader: SnapshotReader = new DuckDBSnapshotReader({
      connections: this.#connections,
      kind,
      state,
      tables,
      base,
      of: tables.areViews || state.version !== of?.version ? null : of,
      earlier: this.#earlier,
      files,
      processes: () => this.queryProcesses(),
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
    // What runs there would hold the snapshots open for as long as it likes.
    await this.closeProcesses()
    const closed = await Promise.allSettled([...this.#open].map(reader => reader.close()))
    this.#connections.close()
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason
  }
}

/** Of all names of a file the same, as long as it has one. */
async function fileId(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true })
  return `${dev}:${ino}`
}
