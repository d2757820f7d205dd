import type { Kind } from '../../kinds/kind.ts'
import type { Row, Value } from '../../kinds/types.ts'
import type { DiffRow, QueryPage, QueryRows, SnapshotReader, StreamFormat, TableRows } from '../engine.ts'
import type { AggregatePlan, AggregateRow, DiffPlan, Filter, RowsPlan, TablePlan } from '../plan.ts'
import { aggregateRow, compileAggregate, compileGroupCount } from './aggregate-sql.ts'
import type { Connections, UseOptions } from './connections.ts'
import { compileDiff, diffRow } from './diff-sql.ts'
import { exportParquet } from './exports/parquet-export.ts'
import { streamTable } from './exports/table-stream.ts'
import type { PreparedStatements } from './prepared-statements.ts'
import { runQuery } from './query-functions.ts'
import { compileByKeys, compileCount, compileRows } from './rows-sql.ts'
import type { SnapshotTables } from './snapshot-tables.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import type { State } from './state.ts'
import { type Scope, type Statement, tableOf } from './statement.ts'

/** One snapshot, attached to the readers' DuckDB. `detach` is called once, when its last read has ended. */
export class DuckDBSnapshotReader implements SnapshotReader {
  readonly version: number
  readonly lastSeq: bigint
  readonly #connections: Connections
  readonly #kind: Kind
  readonly #names: SnapshotTables
  readonly #scope: Scope
  readonly #detach: () => Promise<void>
  readonly #reads = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor(options: {
    connections: Connections
    kind: Kind
    state: Pick<State, 'version' | 'lastSeq'>
    tables: SnapshotTables
    detach: () => Promise<void>
  }) {
    this.version = options.state.version
    this.lastSeq = options.state.lastSeq
    this.#connections = options.connections
    this.#kind = options.kind
    this.#names = options.tables
    this.#scope = { kind: options.kind, names: options.tables }
    this.#detach = options.detach
  }

  rows(plan: RowsPlan, signal?: AbortSignal): Promise<readonly Row[]> {
    return this.#all(compileRows(this.#scope, plan), signal)
  }

  async readByKeys(
    table: string,
    columns: readonly string[],
    keyColumns: readonly string[],
    keys: readonly (readonly Value[])[],
    signal?: AbortSignal,
  ): Promise<readonly Row[]> {
    if (keys.length === 0) return []
    return this.#all(compileByKeys(this.#scope, table, columns, keyColumns, keys), signal)
  }

  count(table: string, where: Filter, signal?: AbortSignal): Promise<bigint> {
    return this.#count(compileCount(this.#scope, table, where), signal)
  }

  async aggregate(plan: AggregatePlan, signal?: AbortSignal): Promise<AggregateRow[]> {
    const rows = await this.#all(compileAggregate(this.#scope, plan), signal)
    return rows.map(row => aggregateRow(this.#kind, plan, row))
  }

  countGroups(plan: AggregatePlan, signal?: AbortSignal): Promise<bigint> {
    return this.#count(compileGroupCount(this.#scope, plan), signal)
  }

  async query(
    name: string,
    args: Readonly<Record<string, unknown>>,
    page: QueryPage,
    signal?: AbortSignal,
  ): Promise<QueryRows> {
    const query = this.#kind.queries.get(name)
    if (!query) throw new Error(`kind ${this.#kind.name} has no query ${name}`)
    const { timeoutSeconds } = query
    const { schema } = this.#names
    const read = (signal: AbortSignal) =>
      this.#read(sql => runQuery(query, args, page, { sql, names: this.#names }), { signal, timeoutSeconds, schema })
    return this.#result(JSON.stringify([schema, name, args, page]), read, signal)
  }

  async diff(older: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    if (!(older instanceof DuckDBSnapshotReader) || older.#connections !== this.#connections) {
      throw new Error('both versions must be open in the same readers')
    }
    const { text, params } = compileDiff(this.#scope, older.#names, plan)
    // Both are held open by the one read.
    const rows = await older.#hold(() => this.#all({ text, params }, signal))
    const table = tableOf(this.#kind, plan.table)
    return rows.map(row => diffRow(table, plan, row))
  }

  async tables(): Promise<TableRows[]> {
    const names = [...this.#kind.tables.keys()]
    const counts = names.map(name => `(SELECT count(*) FROM ${this.#names.table(name)}) AS ${quoted(name)}`)
    const [row] = await this.#all({ text: `SELECT ${counts.join(', ')}`, params: {} })
    return names.map(name => ({ name, rows: Number(row?.[name]) }))
  }

  async exportParquet(plan: TablePlan, path: string, signal?: AbortSignal): Promise<{ bytes: number; rows: number }> {
    return this.#read(sql => exportParquet(sql, this.#scope, plan, path, signal), { signal, isExport: true })
  }

  async *stream(plan: TablePlan, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const release = this.#holdOpen()
    try {
      yield* streamTable(this.#connections, this.#scope, plan, format, signal)
    } finally {
      release()
    }
  }

  close(): Promise<void> {
    this.#closed ??= Promise.allSettled(this.#reads).then(() => this.#detach())
    return this.#closed
  }

  async #count(statement: Statement, signal?: AbortSignal): Promise<bigint> {
    const [row] = await this.#all(statement, signal)
    return BigInt(String(row?.count))
  }

  /** The text names the version: what it is attached as is never given twice. */
  #all({ text, params }: Statement, signal?: AbortSignal): Promise<readonly Row[]> {
    const read = (signal: AbortSignal) =>
      this.#read((sql, statements) => sql.again(statements, text, params), { signal })
    return this.#result(`${text}\n${JSON.stringify(params)}`, read, signal)
  }

  async #result<T extends object>(
    key: string,
    read: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.#mustBeOpen()
    return this.#connections.results.get(key, read, signal)
  }

  #read<T>(work: (sql: DuckDBSql, statements: PreparedStatements) => Promise<T>, options?: UseOptions): Promise<T> {
    return this.#hold(() => this.#connections.use(work, options))
  }

  /** Nothing is detached while the read is under way. */
  async #hold<T>(read: () => Promise<T>): Promise<T> {
    const release = this.#holdOpen()
    try {
      return await read()
    } finally {
      release()
    }
  }

  /** Nothing is detached until what this answers is called. */
  #holdOpen(): () => void {
    this.#mustBeOpen()
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#reads.add(promise)
    return () => {
      this.#reads.delete(promise)
      resolve()
    }
  }

  #mustBeOpen(): void {
    if (this.#closed) throw new Error('the snapshot reader is closed')
  }
}
