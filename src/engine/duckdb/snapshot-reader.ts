import type { ReadModel } from '../../kinds/context.ts'
import type { Row } from '../../kinds/types.ts'
import { diffReader } from '../diff-rows.ts'
import type {
  DiffRow,
  QueryBounds,
  QueryPage,
  QueryRead,
  QueryResult,
  QueryRows,
  QueryWork,
  SnapshotFiles,
  SnapshotReader,
  SnapshotRef,
  StreamFormat,
  TableRows,
} from '../engine.ts'
import type { DiffPlan, TablePlan } from '../plan.ts'
import { type OtherVersion, PlanReader, type PlanReaderOptions } from '../plan-reader.ts'
import { type PlanRead, tableRead } from '../plan-reads.ts'
import { tableOf } from '../plan-tables.ts'
import { holding, type VersionBeside, versionBeside } from '../versions-beside.ts'
import { changedRows, type RowRange } from './changed-rows.ts'
import type { Connections, UseOptions } from './connections.ts'
import { compileDiff } from './diff-sql.ts'
import { exportParquet } from './exports/parquet-export.ts'
import { streamTable } from './exports/table-stream.ts'
import { firstOfLast } from './last-rows.ts'
import { parquetSelect } from './parquet-tables.ts'
import { compileRead } from './plan-reads.ts'
import type { PreparedStatements } from './prepared-statements.ts'
import type { QueryProcesses } from './queries/query-processes.ts'
import { querySnapshot, querySources } from './queries/query-snapshot.ts'
import { runQuery } from './query-functions.ts'
import type { SnapshotTables } from './snapshot-tables.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import type { Scope } from './statement.ts'

/** One snapshot, attached to the readers' DuckDB. `detach` is called once, when its last read has ended. */
export class DuckDBSnapshotReader extends PlanReader implements SnapshotReader {
  readonly #connections: Connections
  readonly #names: SnapshotTables
  readonly #scope: Scope
  readonly #base: string | null
  /** By table and count. */
  readonly #lastRows = new Map<string, Promise<number | null>>()
  readonly #changed = new WeakMap<DuckDBSnapshotReader, Map<string, RowRange[] | null>>()
  readonly #files: SnapshotFiles
  readonly #processes: () => QueryProcesses
  readonly #detach: () => Promise<void>

  constructor(
    options: Omit<PlanReaderOptions, 'name' | 'results'> & {
      connections: Connections
      tables: SnapshotTables
      /** What its database's file is known by; null where it has none whose rows are the tables'. */
      base: string | null
      files: SnapshotFiles
      processes: () => QueryProcesses
      detach: () => Promise<void>
    },
  ) {
    // What it is attached as is never given twice.
    super({ ...options, name: options.tables.schema, results: options.connections.results })
    this.#connections = options.connections
    this.#names = options.tables
    this.#scope = { kind: options.kind, names: options.tables }
    this.#base = options.base
    this.#files = options.files
    this.#processes = options.processes
    this.#detach = options.detach
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
    const { timeoutSeconds } = query
    const { schema } = this.#names
    const others = reads.map(({ reader, ...read }) => ({ ...read, of: versionBeside(reader) }))
    const versions = others.map(({ of }) => of)
    const read = async (signal: AbortSignal) => {
      const models = await Promise.all(others.map(({ alias, model, of }) => this.#asRead(alias, model, of, signal)))
      const work = (sql: DuckDBSql) => runQuery(query, args, page, { sql, names: this.#names, reads: models })
      return this.#connections.use(work, { signal, timeoutSeconds, schema })
    }
    const key = JSON.stringify([
      schema,
      name,
      args,
      page,
      others.map(({ alias, model, of }) => of.asSource(alias, model)),
    ])
    // All are held from the beginning, before anything is waited for.
    const find = (signal: AbortSignal) => holding([this, ...versions], () => read(signal))
    return holding(versions, () => this.result(key, find, signal))
  }

  /** How a query function of this model knows another version, whichever engine it is on. */
  async #asRead(
    alias: string,
    model: string,
    of: SnapshotReader & VersionBeside,
    signal: AbortSignal,
  ): Promise<ReadModel> {
    const parquets = await of.parquets?.(signal)
    const names = parquets
      ? { table: (name: string) => `(${parquetSelect(tableOf(of.kind, name), parquets[name] ?? [])})` }
      : this.#beside(of).#names
    const table = (name: string) => names.table(tableOf(of.kind, name).name)
    return { alias, model, kind: of.kind.name, version: of.version, table }
  }

  asSource(alias: string, model: string): SnapshotRef {
    return { alias, model, kind: this.kind.name, version: this.version, files: this.#files }
  }

  /** Another version, which can be read in one statement with this. */
  #beside(other: SnapshotReader): DuckDBSnapshotReader {
    if (other instanceof DuckDBSnapshotReader && other.#connections === this.#connections) return other
    throw new Error('both versions must be open in the same readers')
  }

  async diff(from: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    const older = this.#beside(from)
    const work = async (sql: DuckDBSql) => {
      const ranges = await this.#changedRows(sql, older, plan.table)
      const { text, params } = compileDiff(this.#scope, older.#names, plan, ranges)
      return sql.all(text, params)
    }
    const key = JSON.stringify([this.#names.schema, older.#names.schema, plan])
    const rows = await holding([older], () => this.result(key, signal => this.#read(work, { signal }), signal))
    const table = tableOf(this.kind, plan.table)
    return rows.map(diffReader(table, plan))
  }

  /** Found out once for all pages. Null where the versions have no base in common: then every row is looked at. */
  async #changedRows(sql: DuckDBSql, older: DuckDBSnapshotReader, table: string): Promise<RowRange[] | null> {
    if (this.#base === null || this.#base !== older.#base) return null
    const known = this.#changed.get(older) ?? new Map<string, RowRange[] | null>()
    this.#changed.set(older, known)
    const there = known.get(table)
    if (there !== undefined) return there
    const found = await changedRows(sql, older.#names.table(table), this.#names.table(table))
    known.set(table, found)
    return found
  }

  async tables(): Promise<TableRows[]> {
    const names = [...this.kind.tables.keys()]
    const counts = names.map(name => `(SELECT count(*) FROM ${this.#names.table(name)}) AS ${quoted(name)}`)
    const [row] = await this.#read(sql => sql.all(`SELECT ${counts.join(', ')}`))
    return names.map(name => ({ name, rows: Number(row?.[name]) }))
  }

  async exportParquet(plan: TablePlan, path: string, signal?: AbortSignal): Promise<{ bytes: number; rows: number }> {
    return this.#read(sql => exportParquet(sql, this.#scope, plan, path, signal), { signal, isExport: true })
  }

  async *stream(plan: TablePlan, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const release = this.holdOpen()
    try {
      yield* streamTable(this.#connections, this.#scope, plan, format, signal)
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
    const sources = await querySources(others, signal)
    const snapshot = await querySnapshot(this, signal)
    const job = { snapshot, reads: sources, work, checkOnly: to === null, rows, bytes }
    return this.#processes().run(job, to, seconds, signal)
  }

  protected release(): Promise<void> {
    return this.#detach()
  }

  protected read(read: PlanRead, signal: AbortSignal): Promise<readonly Row[]> {
    const statement = compileRead(this.#scope, read)
    return this.#connections.use((sql, statements) => sql.again(statements, statement), { signal })
  }

  protected async readLast(read: PlanRead, rows: number, signal: AbortSignal): Promise<readonly Row[] | null> {
    const table = tableRead(read)
    const first = await this.#firstOfLast(table, rows)
    if (first === null) return null
    const added = `(SELECT * FROM ${this.#names.table(table)} WHERE rowid >= ${first})`
    const names = { table: (name: string) => (name === table ? added : this.#names.table(name)) }
    const { text, params } = compileRead({ kind: this.kind, names }, read)
    return this.#connections.use(sql => sql.all(text, params), { signal })
  }

  /** The row id that the last `count` rows of the table begin with; null where that cannot be told. Found out once. */
  #firstOfLast(table: string, count: number): Promise<number | null> {
    const key = `${table} ${count}`
    const known =
      this.#lastRows.get(key) ??
      this.#connections.use(sql => firstOfLast(sql, this.#names.table(table), this.#rowsOf(table), count))
    this.#lastRows.set(key, known)
    known.catch(() => this.#lastRows.delete(key))
    return known
  }

  #rowsOf(table: string): number {
    return this.of?.tables.find(({ name }) => name === table)?.rows ?? 0
  }

  #read<T>(work: (sql: DuckDBSql, statements: PreparedStatements) => Promise<T>, options?: UseOptions): Promise<T> {
    return holding([this], () => this.#connections.use(work, options))
  }
}
