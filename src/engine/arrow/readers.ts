import { randomUUID } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Kind } from '../../kinds/kind.ts'
import { DuckDBReaders } from '../duckdb/readers.ts'
import { EarlierAnswers } from '../earlier-answers.ts'
import type { Readers, SnapshotFiles, SnapshotReader, StoredResult, StreamFormat, VersionOpened } from '../engine.ts'
import { FileChecks } from './file-checks.ts'
import { openVersion } from './manifest.ts'
import { MemoryBudget } from './memory-budget.ts'
import { ParquetTwins } from './parquet-twins.ts'
import { ArrowSnapshotReader, type ReaderParts } from './snapshot-reader.ts'
import { VersionTables } from './version-tables.ts'

/** Of all readers of the process: they have what was answered in common, by the names of what is open. */
let opened = 0

/**
 * The readers of this process, for the Arrow engine. Nothing is opened but the manifest: files are mapped by each read.
 * DuckDB's readers do what is DuckDB's part, and lend their places: both engines' reads hold threads of the one pool.
 */
export class ArrowReaders implements Readers {
  readonly #duckdb: DuckDBReaders
  readonly #parts: ReaderParts
  readonly #open = new Set<SnapshotReader>()
  readonly #opening = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  /**
   * @param duckdb which it closes with itself
   * @param checks what is known of files in this process
   */
  constructor(duckdb: DuckDBReaders, folder: string, checks = new FileChecks()) {
    const { connections } = duckdb
    this.#duckdb = duckdb
    this.#parts = {
      connections,
      earlier: new EarlierAnswers(connections.results),
      memory: new MemoryBudget(connections.memoryBytes),
      twins: new ParquetTwins(join(folder, `parquet-${randomUUID()}`), work =>
        connections.admit(work, { isExport: true }),
      ),
      checks,
      folder,
      processes: () => duckdb.queryProcesses(),
    }
  }

  /** Takes the arguments of DuckDBReaders.start. */
  static async start(...[limits, queries = {}]: Parameters<typeof DuckDBReaders.start>): Promise<ArrowReaders> {
    return new ArrowReaders(await DuckDBReaders.start(limits, queries), queries.folder ?? tmpdir())
  }

  async open({ kind, files, of }: { kind: Kind; files: SnapshotFiles; of?: VersionOpened }): Promise<SnapshotReader> {
    if (this.#closed) throw new Error('the readers are closed')
    const opening = this.#openVersion(kind, files, of ?? null)
    this.#opening.add(opening)
    try {
      return await opening
    } finally {
      this.#opening.delete(opening)
    }
  }

  async #openVersion(kind: Kind, files: SnapshotFiles, of: VersionOpened | null): Promise<SnapshotReader> {
    const version = Object.keys(files).length === 0 ? null : await openVersion(files)
    const tables = new VersionTables(kind, version, this.#parts.checks)
    const state = version?.manifest ?? { version: 0, lastSeq: 0n }
    if (of) this.#parts.earlier.opened(of)
    opened += 1
    const reader: SnapshotReader = new ArrowSnapshotReader({
      parts: this.#parts,
      state,
      tables,
      name: `arrow snapshot ${opened}`,
      of: state.version === of?.version ? of : null,
      onClosed: () => this.#open.delete(reader),
    })
    this.#open.add(reader)
    return reader
  }

  resultRows(
    result: StoredResult,
    page: { offset: number; limit: number },
    signal?: AbortSignal,
  ): Promise<unknown[][]> {
    return this.#duckdb.resultRows(result, page, signal)
  }

  streamResult(
    result: StoredResult,
    format: StreamFormat,
    signal?: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, void> {
    return this.#duckdb.streamResult(result, format, signal)
  }

  close(): Promise<void> {
    this.#closed ??= this.#closeAll()
    return this.#closed
  }

  async #closeAll(): Promise<void> {
    await Promise.allSettled(this.#opening)
    // What runs there would hold the snapshots open for as long as it likes.
    await this.#duckdb.closeProcesses()
    const closed = await Promise.allSettled([...this.#open].map(reader => reader.close()))
    await this.#parts.twins.close()
    await this.#duckdb.close()
    for (const outcome of closed) if (outcome.status === 'rejected') throw outcome.reason
  }
}
