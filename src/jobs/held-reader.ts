import type { DiffRow, QueryPage, QueryRows, SnapshotReader, StreamFormat, TableRows } from '../engine/engine.ts'
import type { AggregatePlan, AggregateRow, DiffPlan, Filter, RowsPlan, TablePlan } from '../engine/plan.ts'
import type { Row, Value } from '../kinds/types.ts'

/**
 * A reader whose every answer is checked before it is handed on: `check` rejects where the version may have been let go
 * meanwhile, and what was read may be bytes of another. An error of the read may come of that, too.
 */
export class HeldReader implements SnapshotReader {
  readonly #reader: SnapshotReader
  readonly #check: () => Promise<void>

  constructor(reader: SnapshotReader, check: () => Promise<void>) {
    this.#reader = reader
    this.#check = check
  }

  get version(): number {
    return this.#reader.version
  }

  get lastSeq(): bigint {
    return this.#reader.lastSeq
  }

  rows(plan: RowsPlan, signal?: AbortSignal): Promise<readonly Row[]> {
    return this.#checked(this.#reader.rows(plan, signal))
  }

  readByKeys(
    table: string,
    columns: readonly string[],
    keyColumns: readonly string[],
    keys: readonly (readonly Value[])[],
    signal?: AbortSignal,
  ): Promise<readonly Row[]> {
    return this.#checked(this.#reader.readByKeys(table, columns, keyColumns, keys, signal))
  }

  count(table: string, where: Filter, signal?: AbortSignal): Promise<bigint> {
    return this.#checked(this.#reader.count(table, where, signal))
  }

  aggregate(plan: AggregatePlan, signal?: AbortSignal): Promise<AggregateRow[]> {
    return this.#checked(this.#reader.aggregate(plan, signal))
  }

  countGroups(plan: AggregatePlan, signal?: AbortSignal): Promise<bigint> {
    return this.#checked(this.#reader.countGroups(plan, signal))
  }

  query(
    name: string,
    args: Readonly<Record<string, unknown>>,
    page: QueryPage,
    signal?: AbortSignal,
  ): Promise<QueryRows> {
    return this.#checked(this.#reader.query(name, args, page, signal))
  }

  async diff(older: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    if (!(older instanceof HeldReader)) throw new Error('both versions must be held')
    return older.#checked(this.#checked(this.#reader.diff(older.#reader, plan, signal)))
  }

  tables(): Promise<TableRows[]> {
    return this.#checked(this.#reader.tables())
  }

  exportParquet(plan: TablePlan, path: string, signal?: AbortSignal): Promise<{ bytes: number; rows: number }> {
    return this.#checked(this.#reader.exportParquet(plan, path, signal))
  }

  async *stream(plan: TablePlan, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const pieces = this.#reader.stream(plan, format, signal)
    try {
      for (;;) {
        const piece = await this.#checked(pieces.next())
        if (piece.done) return
        yield piece.value
      }
    } finally {
      await pieces.return()
    }
  }

  close(): Promise<void> {
    return this.#reader.close()
  }

  async #checked<T>(reading: Promise<T>): Promise<T> {
    try {
      return await reading
    } finally {
      await this.#check()
    }
  }
}
