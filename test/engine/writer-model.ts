import { randomUUID } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DuckDBWriterOptions } from '../../src/engine/duckdb/writer.ts'
import type {
  Change,
  SnapshotFile,
  SnapshotFiles,
  TableRows,
  Work,
  WorkOutcome,
  Writer,
} from '../../src/engine/engine.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { duckdb, type TestEngine } from './engines.ts'

export { querySnapshot } from './engines.ts'

export const SUBMITTED_AT = '2013-01-31T09:00:00.000000Z'

/** A model under a writer, in a folder of its own that is removed with it. */
export class WriterModel implements AsyncDisposable {
  kind: Kind
  readonly path: string
  writer: Writer
  readonly #engine: TestEngine
  readonly #options: DuckDBWriterOptions
  /** Steps of the last batch, as `onStep` was told them. */
  steps: string[] = []
  /** What the log was told: ids of faults of the kind. */
  readonly logged: { id: string; err: unknown }[]
  #seq = 0n
  #snapshots = 0

  private constructor(
    options: DuckDBWriterOptions,
    path: string,
    writer: Writer,
    logged: { id: string; err: unknown }[],
    engine: TestEngine,
  ) {
    this.#engine = engine
    this.#options = options
    this.kind = options.kind
    this.logged = logged
    this.path = path
    this.writer = writer
  }

  static async open(
    kind: Kind,
    { engine = duckdb, ...more }: Partial<DuckDBWriterOptions> & { readsKinds?: Kind[]; engine?: TestEngine } = {},
  ): Promise<WriterModel> {
    const path = await mkdtemp(join(tmpdir(), 'teatree-writer-'))
    const logged: { id: string; err: unknown }[] = []
    const log = { error: (fields: unknown) => logged.push(fields as { id: string; err: unknown }) }
    const dir = await mkdtemp(join(path, 'scratch-'))
    const kinds = new Map([kind, ...(more.readsKinds ?? [])].map(each => [each.name, each]))
    const options = { kind, kinds, dir, from: null, threads: 2, memoryBytes: 2 ** 30, log, ...more }
    try {
      return new WriterModel(options, path, await engine.openWriter(options), logged, engine)
    } catch (error) {
      await rm(path, { recursive: true })
      throw error
    }
  }

  /** Closes the writer and opens another, from the files of a version, with the kind as it is by then. */
  async reopen(from: SnapshotFiles, kind: Kind = this.kind): Promise<void> {
    await this.writer.close()
    this.kind = kind
    const dir = await mkdtemp(join(this.path, 'scratch-'))
    this.writer = await this.#engine.openWriter({ ...this.#options, kind, dir, from })
  }

  work(change: Change, more: Partial<Work> = {}): Work {
    this.#seq += 1n
    return {
      intentId: randomUUID(),
      seq: this.#seq,
      submittedAt: SUBMITTED_AT,
      change,
      signal: new AbortController().signal,
      onStep: step => this.steps.push(step),
      ...more,
    }
  }

  /** Applies the changes as one batch, at the next version. */
  apply(...changes: Change[]): Promise<WorkOutcome[]> {
    this.steps = []
    return this.writer.apply(
      changes.map(change => this.work(change)),
      this.writer.version + 1,
    )
  }

  /** Calls a function of the kind, alone in its batch. */
  async call(name: string, args: Readonly<Record<string, unknown>> = {}): Promise<WorkOutcome> {
    const [outcome] = await this.apply({ is: 'function', name, args, reads: [] })
    if (!outcome) throw new Error('there is no outcome')
    return outcome
  }

  /** Makes a snapshot of the present state. */
  async snapshot(): Promise<{ dir: string; files: SnapshotFiles; made: SnapshotFile[]; tables: TableRows[] }> {
    this.#snapshots += 1
    const dir = join(this.path, `snapshot-${this.#snapshots}`)
    const { files, tables } = await this.writer.snapshot(dir)
    return { dir, files: Object.fromEntries(files.map(({ name }) => [name, join(dir, name)])), made: files, tables }
  }

  /** The table's rows by key, as a snapshot of the present state has them. */
  async rows(table: string): Promise<Row[]> {
    const { dir, files } = await this.snapshot()
    try {
      return await this.#engine.rows(files, this.kind, table)
    } finally {
      await rm(dir, { recursive: true })
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.close()
    await rm(this.path, { recursive: true })
  }
}

/** The rows of a table of a snapshot on DuckDB, by key. */
export const rowsOf = duckdb.rows

/** The result of an outcome that must be a success. */
export function resultOf(outcome: WorkOutcome | undefined): Row {
  if (outcome?.ok) return outcome.result
  throw new Error('the intent was refused', { cause: outcome?.error })
}

/** The error of an outcome that must be a refusal. */
export function refusedWith(outcome: WorkOutcome | undefined): TeatreeError {
  if (outcome && !outcome.ok && outcome.error instanceof TeatreeError) return outcome.error
  throw new Error(`the intent was not refused: ${JSON.stringify(outcome)}`)
}
