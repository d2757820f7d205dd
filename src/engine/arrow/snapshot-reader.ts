import type { Kind, Table } from '../../kinds/kind.ts'
import type { Row, Value } from '../../kinds/types.ts'
import { unlessAborted } from '../../platform/unless-aborted.ts'
import { aggregateReader } from '../aggregate-rows.ts'
import { diffReader } from '../diff-rows.ts'
import type { Connections, UseOptions } from '../duckdb/connections.ts'
import { exportParquet } from '../duckdb/exports/parquet-export.ts'
import { streamTable } from '../duckdb/exports/table-stream.ts'
import { parquetSelect } from '../duckdb/parquet-tables.ts'
import { compileRead } from '../duckdb/plan-reads.ts'
import type { QueryProcesses } from '../duckdb/queries/query-processes.ts'
import { querySnapshot, querySources } from '../duckdb/queries/query-snapshot.ts'
import type { DuckDBSql } from '../duckdb/sql.ts'
import type { Scope } from '../duckdb/statement.ts'
import { type EarlierAnswers, versionName } from '../earlier-answers.ts'
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
  VersionOpened,
} from '../engine.ts'
import { type AggregatePlan, ALL, type DiffPlan, type Filter, type RowsPlan, type TablePlan } from '../plan.ts'
import { type PlanRead, tableRead, tablesBeside, touchingRead } from '../plan-reads.ts'
import { tableOf } from '../plan-tables.ts'
import { queryTimeLimit } from '../time-limit.ts'
import { holding, type VersionBeside, versionBeside } from '../versions-beside.ts'
import { pageOfChanges } from './changes.ts'
import { leaving, rowsOf } from './columns.ts'
import type { FileChecks } from './file-checks.ts'
import type { TableFile } from './manifest.ts'
import type { MemoryBudget } from './memory-budget.ts'
import type { ParquetTwins, TwinHold } from './parquet-twins.ts'
import { askedBy, sumsDoubles } from './plan-frames.ts'
import { QueryFrames } from './query-frames.ts'
import { pageOfQuery } from './query-functions.ts'
import { bytesOfRead } from './read-bytes.ts'
import { arrowReadError } from './read-errors.ts'
import { ReadSources } from './read-frames.ts'
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
export class ArrowSnapshotReader implements SnapshotReader, VersionBeside {
  readonly version: number
  readonly lastSeq: bigint
  readonly #parts: ReaderParts
  readonly #kind: Kind
  readonly #tables: VersionTables
  readonly #name: string
  readonly #of: VersionOpened | null
  readonly #onClosed: () => void
  readonly #reads = new Set<Promise<unknown>>()
  /** Of the twins that others read; it is over when nobody reads the version any more. */
  #forOthers: TwinHold | undefined
  #closed: Promise<void> | undefined

  /** @param options `name` is of this reader alone; `of` is null where it is not known which version this is */
  constructor(options: {
    parts: ReaderParts
    state: { version: number; lastSeq: bigint }
    tables: VersionTables
    name: string
    of: VersionOpened | null
    onClosed: () => void
  }) {
    this.version = options.state.version
    this.lastSeq = options.state.lastSeq
    this.#parts = options.parts
    this.#kind = options.tables.kind
    this.#tables = options.tables
    this.#name = options.name
    this.#of = options.of
    this.#onClosed = options.onClosed
  }

  rows(plan: RowsPlan, signal?: AbortSignal): Promise<readonly Row[]> {
    return this.#planned({ is: 'rows', plan }, signal)
  }

  async readByKeys(
    table: string,
    columns: readonly string[],
    keyColumns: readonly string[],
    keys: readonly (readonly Value[])[],
    signal?: AbortSignal,
  ): Promise<readonly Row[]> {
    if (keys.length === 0) return []
    return this.#planned({ is: 'rows by keys', table, columns, keyColumns, keys }, signal)
  }

  count(table: string, where: Filter, signal?: AbortSignal): Promise<bigint> {
    return this.#count({ is: 'count', table, where }, signal)
  }

  async aggregate(plan: AggregatePlan, signal?: AbortSignal) {
    const rows = await this.#planned({ is: 'groups', plan }, signal)
    return rows.map(aggregateReader(this.#kind, plan))
  }

  countGroups(plan: AggregatePlan, signal?: AbortSignal): Promise<bigint> {
    return this.#count({ is: 'count of groups', plan }, signal)
  }

  async query(
    name: string,
    args: Readonly<Record<string, unknown>>,
    page: QueryPage,
    signal?: AbortSignal,
    reads: readonly QueryRead[] = [],
  ): Promise<QueryRows> {
    const query = this.#kind.queries.get(name)
    if (!query) throw new Error(`kind ${this.#kind.name} has no query ${name}`)
    const others = reads.map(({ alias, model, reader }) => {
      const of = versionBeside(reader)
      return { of, ref: of.asSource(alias, model), kind: of.kind }
    })
    const key = JSON.stringify([this.#name, name, args, page, others.map(({ ref }) => ref)])
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
          const frames = new QueryFrames(this.#tables, sources, (work, bytes) => this.#compute(work, bytes, stopped))
          return await unlessAborted(pageOfQuery(query, frames.context(args), page), stopped)
        } catch (error) {
          throw stopped.aborted ? stopped.reason : await sources.causeOf(error)
        }
      })
    return this.#result(key, find, signal)
  }

  /** What the kind says of the version's tables. */
  get kind(): Kind {
    return this.#kind
  }

  asSource(alias: string, model: string): SnapshotRef {
    return { alias, model, kind: this.#kind.name, version: this.version, files: this.#tables.filesByName }
  }

  async parquets(signal: AbortSignal | undefined): Promise<Record<string, string[]>> {
    const parquets: Record<string, string[]> = {}
    // For as long as it takes: who asked may have given up, because of another source.
    const release = this.#hold()
    try {
      this.#forOthers ??= this.#parts.twins.hold()
      const hold = this.#forOthers
      for (const table of this.#kind.tables.values()) parquets[table.name] = await this.#twinsOf(table, hold, signal)
      return parquets
    } finally {
      release()
    }
  }

  async diff(from: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    const older = this.#beside(from)
    const key = JSON.stringify([this.#name, older.#name, plan])
    const find = (signal: AbortSignal) =>
      holding([this, older], async () => {
        const { table, where } = plan
        const columns = [...tableOf(this.#kind, table).columns.keys()]
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
    const rows = await this.#result(key, find, signal)
    return rows.map(diffReader(tableOf(this.#kind, plan.table), plan))
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
    this.#mustBeOpen()
    return [...this.#kind.tables.keys()].map(name => ({ name, rows: this.#tables.rows(name) }))
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

  run(
    work: QueryWork,
    to: string,
    bounds: QueryBounds,
    signal?: AbortSignal,
    reads?: readonly QueryRead[],
  ): Promise<QueryResult> {
    return this.#inProcess(work, to, bounds, signal, reads)
  }

  async check(work: QueryWork, seconds: number, signal?: AbortSignal, reads?: readonly QueryRead[]): Promise<void> {
    await this.#inProcess(work, null, { seconds, rows: 0, bytes: 0 }, signal, reads)
  }

  #inProcess(
    work: QueryWork,
    to: string | null,
    { seconds, rows, bytes }: QueryBounds,
    signal?: AbortSignal,
    reads: readonly QueryRead[] = [],
  ): Promise<QueryResult> {
    const others = reads.map(({ reader, ...read }) => ({ ...read, of: versionBeside(reader) }))
    return holding([this, ...others.map(({ of }) => of)], async () => {
      const bounds = { checkOnly: to === null, rows, bytes }
      if (work.is === 'function') {
        const frames = {
          own: this.asSource('', ''),
          reads: others.map(({ alias, model, of }) => of.asSource(alias, model)),
        }
        const { name: kind, shape } = this.#kind
        const snapshot = { kind, shape, tables: [], files: {} }
        return this.#parts.processes().run({ snapshot, reads: [], work, frames, ...bounds }, to, seconds, signal)
      }
      const sources = await querySources(others, signal)
      const job = { snapshot: await querySnapshot(this, signal), reads: sources, work, ...bounds }
      return this.#parts.processes().run(job, to, seconds, signal)
    })
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    // Reads that are under way may hold it once more.
    while (this.#reads.size > 0) await Promise.allSettled(this.#reads)
    await this.#parts.twins.letGo(this)
    this.#onClosed()
  }

  async #count(read: PlanRead, signal?: AbortSignal): Promise<bigint> {
    const [row] = await this.#planned(read, signal)
    return BigInt(String(row?.count))
  }

  /** No other model gets the id of this, and no other reader its name. */
  #planned(read: PlanRead, signal?: AbortSignal): Promise<readonly Row[]> {
    const name = JSON.stringify(read)
    const version = this.#of ? versionName(this.#of.model, this.version) : this.#name
    // It is held from the beginning, before anything is waited for.
    const find = (signal: AbortSignal) =>
      holding([this], async () => {
        const rows =
          (await this.#takenOver(read, name, signal)) ??
          (await this.#run(this.#tables, read, this.#tables.rows(tableRead(read)), signal))
        await this.#of?.check()
        return rows
      })
    return this.#result(`${version} ${name}`, find, signal)
  }

  /** @param among how many rows of its table the frames have */
  async #run(frames: Frames, read: PlanRead, among: number, signal: AbortSignal): Promise<readonly Row[]> {
    if (sumsDoubles(frames, read)) return this.#inDuckDB(read, (sql, scope) => allOf(sql, scope, read), { signal })
    await this.#check(read)
    return this.#collect(() => askedBy(frames, read), this.#bytesOf(read, among), signal)
  }

  /** What an earlier version answered, where no row has come since that would make it another. */
  async #takenOver(read: PlanRead, name: string, signal: AbortSignal): Promise<readonly Row[] | null> {
    const earlier = this.#of && this.#parts.earlier.find(this.#of, this.#kind, read, name)
    if (!earlier || earlier.added === 0) return earlier?.rows ?? null
    const table = tableRead(read)
    const first = this.#tables.rows(table) - earlier.added
    const frame = (name: string) =>
      name === table ? this.#tables.frame(name).slice(first, earlier.added) : this.#tables.frame(name)
    const touching = touchingRead(this.#kind, read, earlier.rows)
    const rows = await this.#run({ kind: this.#kind, frame }, touching, earlier.added, signal)
    return rows.length === 0 ? earlier.rows : null
  }

  async #result<T extends object>(
    key: string,
    read: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#mustBeOpen()
    return this.#parts.connections.results.get(key, read, signal, this.#name)
  }

  /** @param rows how many there are of the table that is read */
  #bytesOf(read: PlanRead, rows: number): number {
    return bytesOfRead(this.#kind, read, table => (table === tableRead(read) ? rows : this.#tables.rows(table)))
  }

  /** The files of all tables that are looked into. */
  #check(read: PlanRead): Promise<void> {
    return this.#tables.check([tableRead(read), ...tablesBeside(this.#kind, read)])
  }

  /**
   * Has Polars compute it. Nothing can stop that: who gives up is told at once, but the version stays open, and the place
   * in the pool taken, until it is over.
   */
  #collect(ask: () => Asked, bytes: number, signal: AbortSignal): Promise<Row[]> {
    const work = async () => {
      const { frame, columns, isReversed, check } = ask()
      const rows = rowsOf(await frame.select(...leaving(columns)).collect())
      if (check) for (const row of rows) check(row)
      return isReversed ? rows.reverse() : rows
    }
    return this.#compute(work, bytes, signal)
  }

  #compute<T>(work: () => Promise<T>, bytes: number, signal: AbortSignal): Promise<T> {
    const { connections, memory } = this.#parts
    const release = this.#hold()
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
    for (const name of [tableRead(read), ...tablesBeside(this.#kind, read)]) {
      const table = tableOf(this.#kind, name)
      selects.set(name, parquetSelect(table, await this.#twinsOf(table, hold, signal)))
    }
    return { kind: this.#kind, names: { table: name => `(${selects.get(name)})` } }
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

  /** The version stays open until what this answers is called. */
  holdOpen(): () => void {
    this.#mustBeOpen()
    return this.#hold()
  }

  #hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#reads.add(promise)
    return () => {
      this.#reads.delete(promise)
      if (this.#reads.size === 0) {
        this.#forOthers?.[Symbol.dispose]()
        this.#forOthers = undefined
      }
      resolve()
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error('the snapshot reader is closed')
  }
}

const allOf = (sql: DuckDBSql, scope: Scope, read: PlanRead): Promise<Row[]> => {
  const { text, params } = compileRead(scope, read)
  return sql.all(text, params)
}
