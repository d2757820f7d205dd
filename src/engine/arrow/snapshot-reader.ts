import type { KindQuery, Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { unlessAborted } from '../../platform/unless-aborted.ts'
import { diffReader } from '../diff-rows.ts'
import type { Connections, UseOptions } from '../duckdb/connections.ts'
import { exportParquet } from '../duckdb/exports/parquet-export.ts'
import { streamTable } from '../duckdb/exports/table-stream.ts'
import { parquetSelect } from '../duckdb/parquet-tables.ts'
import { compileRead } from '../duckdb/plan-reads.ts'
import type { QueryJob } from '../duckdb/queries/messages.ts'
import type { QueryProcesses } from '../duckdb/queries/query-processes.ts'
import { querySnapshot, querySources } from '../duckdb/queries/query-snapshot.ts'
import type { DuckDBSql } from '../duckdb/sql.ts'
import type { Scope } from '../duckdb/statement.ts'
import type { EarlierAnswers } from '../earlier-answers.ts'
import type {
  DiffRow,
  QueryBounds,
  QueryPage,
  QueryRead,
  QueryResult,
  QueryRows,
  QueryWork,
  SnapshotReader,
  SnapshotRef,
  StreamFormat,
  TableRows,
} from '../engine.ts'
import { ALL, type DiffPlan, type TablePlan } from '../plan.ts'
import { type OtherVersion, PlanReader, type PlanReaderOptions } from '../plan-reader.ts'
import { type PlanRead, tableRead, tablesBeside } from '../plan-reads.ts'
import { tableOf } from '../plan-tables.ts'
import { queryTimeLimit } from '../time-limit.ts'
import { holding, versionBeside } from '../versions-beside.ts'
import { computedRows } from './canonical-rows.ts'
import { pageOfChanges } from './changes.ts'
import { leaving, rowsOf } from './columns.ts'
import type { FileChecks } from './file-checks.ts'
import type { TableFile } from './manifest.ts'
import { type MemoryBudget, TooMuchMemory } from './memory-budget.ts'
import type { ParquetTwins, TwinHold } from './parquet-twins.ts'
import { askedBy, sumsDoubles } from './plan-frames.ts'
import type { LazyDataFrame } from './polars.ts'
import { QueryFrames } from './query-frames.ts'
import { pageOfQuery } from './query-functions.ts'
import { bytesOfRead, type ReadBytes } from './read-bytes.ts'
import { arrowReadError } from './read-errors.ts'
import { ReadSources } from './read-frames.ts'
import { readInParts } from './reads-in-parts.ts'
import { rowsIn } from './row-writes.ts'
import type { Asked } from './rows.ts'
import type { VersionTables } from './version-tables.ts'
import type { Frames } from './where.ts'

/** What all readers of the engine in a process have in common. */
export interface ReaderParts {
  connections: Connections
  earlier: EarlierAnswers
  /** Of what Polars does; DuckDB keeps to a bound of its own. */
  memory: MemoryBudget
  twins: ParquetTwins
  checks: FileChecks
  /** There; for files on the way. */
  folder: string
  processes: () => QueryProcesses
}

/** One snapshot. Plans are Polars'; what becomes text, Parquet or somebody's SQL is DuckDB's, over twins of the files. */
export class ArrowSnapshotReader extends PlanReader implements SnapshotReader {
  readonly #parts: ReaderParts
  readonly #tables: VersionTables
  readonly #onClosed: () => void
  /** Of the twins that others read; it is over when nobody reads the version any more. */
  #forOthers: TwinHold | undefined

  constructor(
    options: Pick<PlanReaderOptions, 'state' | 'name' | 'of'> & {
      parts: ReaderParts
      tables: VersionTables
      onClosed: () => void
    },
  ) {
    const { parts, tables } = options
    super({ ...options, kind: tables.kind, earlier: parts.earlier, results: parts.connections.results })
    this.#parts = parts
    this.#tables = tables
    this.#onClosed = options.onClosed
  }

  async query(
    name: string,
    args: Readonly<Record<string, unknown>>,
    page: QueryPage,
    signal?: AbortSignal,
    reads: readonly QueryRead[] = [],
  ): Promise<QueryRows> {
    const query = this.kind.queries.get(name)
    if (!query) throw new Error(`kind ${this.kind.name} has no query ${name}`)
    const others = reads.map(({ alias, model, reader }) => {
      const of = versionBeside(reader)
      return { of, ref: of.asSource(alias, model), kind: of.kind }
    })
    const key = JSON.stringify([this.name, name, args, page, others.map(({ ref }) => ref)])
    const find = (signal: AbortSignal) =>
      holding([this, ...others.map(({ of }) => of)], async () => {
        using limit = queryTimeLimit(query.timeoutSeconds)
        const stopped = AbortSignal.any([signal, limit.signal])
        const kinds = new Map(others.map(({ kind }) => [kind.name, kind]))
        const context = { kinds, dir: this.#parts.folder, checks: this.#parts.checks, signal: stopped }
        await using sources = new ReadSources(
          context,
          others.map(({ ref }) => ref),
        )
        try {
          const rows = (frame: LazyDataFrame, bytes: number) => this.#compute(() => computedRows(frame), bytes, stopped)
          const frames = new QueryFrames(this.#tables, sources, rows)
          return await unlessAborted(pageOfQuery(query, frames.context(args), page), stopped)
        } catch (error) {
          if (stopped.aborted) throw stopped.reason
          if (!(error instanceof TooMuchMemory)) throw await sources.causeOf(error)
        }
        const refs = others.map(({ ref }) => ref)
        return this.#pageInProcess(query, this.#functionJob({ is: 'function', name, args }, refs, page), stopped)
      })
    return this.result(key, find, signal)
  }

  /** For who needs more memory than there is here: streamed, in a process that may be killed where that is too much too. */
  #pageInProcess({ timeoutSeconds }: KindQuery, job: QueryJob, signal: AbortSignal): Promise<QueryRows> {
    const { memory, processes } = this.#parts
    // It takes none of that memory, but there are no more such processes at once than two.
    return memory.run(Math.floor(memory.bytes / 2), () => processes().page(job, timeoutSeconds, signal), signal)
  }

  asSource(alias: string, model: string): SnapshotRef {
    return { alias, model, kind: this.kind.name, version: this.version, files: this.#tables.filesByName }
  }

  async parquets(signal: AbortSignal | undefined): Promise<Record<string, string[]>> {
    const parquets: Record<string, string[]> = {}
    // For as long as it takes: who asked may have given up, because of another source.
    const release = this.hold()
    try {
      this.#forOthers ??= this.#parts.twins.hold()
      const hold = this.#forOthers
      for (const table of this.kind.tables.values()) parquets[table.name] = await this.#twinsOf(table, hold, signal)
      return parquets
    } finally {
      release()
    }
  }

  async diff(from: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    const older = this.#beside(from)
    const key = JSON.stringify([this.name, older.name, plan])
    const find = (signal: AbortSignal) =>
      holding([this, older], async () => {
        const { table, where } = plan
        const columns = [...tableOf(this.kind, table).columns.keys()]
        const read = { is: 'rows', plan: { table, columns, where, orderBy: [], limit: plan.limit } } as const
        await Promise.all([this.#check(read), older.#check(read)])
        const [before, after] = [older.#unshared(this, table), this.#unshared(older, table)]
        const bytes = older.#bytesOf(read, rowsIn(before)) + this.#bytesOf(read, rowsIn(after))
        const side = (of: ArrowSnapshotReader, files: readonly TableFile[]) => ({
          frames: of.#tables,
          rows: of.#tables.frameOf(table, files),
        })
        return this.#collect(() => pageOfChanges(side(older, before), side(this, after), plan), bytes, signal)
      })
    const rows = await this.result(key, find, signal)
    return rows.map(diffReader(tableOf(this.kind, plan.table), plan))
  }

  /** The table's files that the other version has not: the rows of those that both have are the same. */
  #unshared(other: ArrowSnapshotReader, table: string): TableFile[] {
    const there = new Set(other.#tables.files(table).map(({ sha256 }) => sha256))
    return this.#tables.files(table).filter(({ sha256 }) => !there.has(sha256))
  }

  /** Another version, which can be read together with this. */
  #beside(other: SnapshotReader): ArrowSnapshotReader {
    if (other instanceof ArrowSnapshotReader && other.#parts === this.#parts) return other
    throw new Error('both versions must be open in the same readers')
  }

  async tables(): Promise<TableRows[]> {
    this.mustBeOpen()
    return [...this.kind.tables.keys()].map(name => ({ name, rows: this.#tables.rows(name) }))
  }

  exportParquet(plan: TablePlan, path: string, signal?: AbortSignal): Promise<{ bytes: number; rows: number }> {
    const write = (sql: DuckDBSql, scope: Scope) => exportParquet(sql, scope, plan, path, signal)
    const read = { is: 'count', table: plan.table, where: plan.where ?? ALL } as const
    return holding([this], () => this.#inDuckDB(read, write, { signal, isExport: true }))
  }

  async *stream(plan: TablePlan, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const release = this.holdOpen()
    using hold = this.#parts.twins.hold()
    try {
      const scope = await this.#scopeOf({ is: 'count', table: plan.table, where: plan.where ?? ALL }, hold, signal)
      yield* streamTable(this.#parts.connections, scope, plan, format, signal)
    } finally {
      release()
    }
  }

  protected async inProcess(
    work: QueryWork,
    to: string | null,
    { seconds, rows, bytes }: QueryBounds,
    others: readonly OtherVersion[],
    signal: AbortSignal | undefined,
  ): Promise<QueryResult> {
    const bounds = { checkOnly: to === null, rows, bytes }
    if (work.is === 'function') {
      const refs = others.map(({ alias, model, of }) => of.asSource(alias, model))
      return this.#parts.processes().run({ ...this.#functionJob(work, refs), ...bounds }, to, seconds, signal)
    }
    const sources = await querySources(others, signal)
    const job = { snapshot: await querySnapshot(this, signal), reads: sources, work, ...bounds }
    return this.#parts.processes().run(job, to, seconds, signal)
  }

  #functionJob(work: QueryWork, reads: readonly SnapshotRef[], page?: QueryPage): QueryJob {
    const { name: kind, shape } = this.kind
    const snapshot = { kind, shape, tables: [], files: {} }
    const frames = { own: this.asSource('', ''), reads }
    return { snapshot, reads: [], work, frames, ...(page && { page }), checkOnly: false, rows: 0, bytes: 0 }
  }

  protected async release(): Promise<void> {
    await this.#parts.twins.letGo(this)
    this.#onClosed()
  }

  protected override onUnread(): void {
    this.#forOthers?.[Symbol.dispose]()
    this.#forOthers = undefined
  }

  protected async read(read: PlanRead, signal: AbortSignal): Promise<readonly Row[]> {
    const rows = this.#tables.rows(tableRead(read))
    const { memory } = this.#parts
    if (this.#bytesOf(read, rows) <= memory.bytes || sumsDoubles(this.#tables, read))
      return this.#run(this.#tables, read, rows, signal)
    await this.#check(read)
    const { perRow, beside } = this.#bytesPerRow(read)
    const files = this.#tables.filesFor(read).reduce((sum, { bytes }) => sum + bytes, 0)
    // Of a part of a file Polars copies what it reads, with the texts.
    const width = Math.max(perRow, files / Math.max(1, rows))
    // As much is left to others. A part, what has come of those before it, both, and what comes of both.
    const bytes = Math.floor(memory.bytes / 2)
    const most = Math.floor((bytes - beside) / (4 * width))
    return this.#collect(() => readInParts(this.#tables, read, { most, signal }), bytes, signal)
  }

  /** @param among how many rows of its table the frames have */
  async #run(frames: Frames, read: PlanRead, among: number, signal: AbortSignal): Promise<readonly Row[]> {
    if (sumsDoubles(frames, read)) return this.#inDuckDB(read, (sql, scope) => allOf(sql, scope, read), { signal })
    await this.#check(read)
    return this.#collect(() => askedBy(frames, read), this.#bytesOf(read, among), signal)
  }

  protected readLast(read: PlanRead, rows: number, signal: AbortSignal): Promise<readonly Row[]> {
    const table = tableRead(read)
    const first = this.#tables.rows(table) - rows
    const frame = (name: string) =>
      name === table ? this.#tables.frame(name).slice(first, rows) : this.#tables.frame(name)
    return this.#run({ kind: this.kind, frame }, read, rows, signal)
  }

  /** @param rows how many there are of the table that is read */
  #bytesOf(read: PlanRead, rows: number): number {
    const { perRow, beside } = this.#bytesPerRow(read)
    return rows * perRow + beside
  }

  #bytesPerRow(read: PlanRead): ReadBytes {
    return bytesOfRead(this.kind, read, table => this.#tables.rows(table))
  }

  /** The files of all tables that are looked into. */
  #check(read: PlanRead): Promise<void> {
    return this.#tables.check([tableRead(read), ...tablesBeside(this.kind, read)])
  }

  /**
   * Has Polars compute it. Nothing can stop that: who gives up is told at once, but the version stays open, and the place
   * in the pool taken, until it is over.
   */
  #collect(ask: () => Asked | Promise<Asked>, bytes: number, signal: AbortSignal): Promise<Row[]> {
    const work = async () => {
      const { frame, columns, isReversed, check } = await ask()
      const rows = rowsOf(await frame.select(...leaving(columns)).collect())
      if (check) for (const row of rows) check(row)
      return isReversed ? rows.reverse() : rows
    }
    return this.#compute(work, bytes, signal)
  }

  #compute<T>(work: () => Promise<T>, bytes: number, signal: AbortSignal): Promise<T> {
    const { connections, memory } = this.#parts
    const release = this.hold()
    const working = memory.run(bytes, () => connections.admit(work, { signal }), signal).finally(release)
    return unlessAborted(working, signal).catch(error => {
      throw arrowReadError(error)
    })
  }

  async #inDuckDB<T>(
    read: PlanRead,
    work: (sql: DuckDBSql, scope: Scope) => Promise<T>,
    options: UseOptions,
  ): Promise<T> {
    using hold = this.#parts.twins.hold()
    const scope = await this.#scopeOf(read, hold, options.signal)
    return await this.#parts.connections.use(sql => work(sql, scope), options)
  }

  /** The tables that are looked into, as DuckDB finds them. */
  async #scopeOf(read: PlanRead, hold: TwinHold, signal: AbortSignal | undefined): Promise<Scope> {
    const selects = new Map<string, string>()
    for (const name of [tableRead(read), ...tablesBeside(this.kind, read)]) {
      const table = tableOf(this.kind, name)
      selects.set(name, parquetSelect(table, await this.#twinsOf(table, hold, signal)))
    }
    return { kind: this.kind, names: { table: name => `(${selects.get(name)})` } }
  }

  async #twinsOf(table: Table, hold: TwinHold, signal: AbortSignal | undefined): Promise<string[]> {
    await this.#tables.check([table.name])
    const paths: string[] = []
    for (const file of this.#tables.files(table.name)) {
      signal?.throwIfAborted()
      paths.push(await this.#parts.twins.of({ owner: this, hold }, table, file, this.#tables.path(file)))
    }
    return paths
  }
}

const allOf = (sql: DuckDBSql, scope: Scope, read: PlanRead): Promise<Row[]> => {
  const { text, params } = compileRead(scope, read)
  return sql.all(text, params)
}
