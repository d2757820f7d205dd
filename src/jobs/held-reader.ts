import type {
  DiffRow,
  QueryBounds,
  QueryPage,
  QueryRead,
  QueryResult,
  QueryRows,
  QueryWork,
  SnapshotReader,
  StreamFormat,
  TableRows,
} from '../engine/engine.ts'
import type { AggregatePlan, AggregateRow, DiffPlan, Filter, RowsPlan, TablePlan } from '../engine/plan.ts'
import type { Row, Value } from '../kinds/types.ts'

export interface Checks {
  /** Rejects where the version may have been let go meanwhile, and what was read may be bytes of another. */
  check(): Promise<void>
  /** What is told of an error of the read, where that is not what it came of. */
  told(error: unknown): Promise<unknown>
}

/** A reader whose every answer is checked before it is handed on; an error of the read may come of the same, too. */
export class HeldReader implements SnapshotReader {
  readonly #reader: SnapshotReader
  readonly #checks: Checks

  constructor(reader: SnapshotReader, checks: Checks) {
    this.#reader = reader
    this.#checks = checks
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
    reads: readonly QueryRead[] = [],
  ): Promise<QueryRows> {
    const { inner, others } = HeldReader.#apart(reads)
    return HeldReader.#allChecked([this, ...others], this.#reader.query(name, args, page, signal, inner))
  }

  async diff(from: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]> {
    const older = held(from)
    return HeldReader.#allChecked([this, older], this.#reader.diff(older.#reader, plan, signal))
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

  run(
    work: QueryWork,
    to: string,
    bounds: QueryBounds,
    signal?: AbortSignal,
    reads: readonly QueryRead[] = [],
  ): Promise<QueryResult> {
    const { inner, others } = HeldReader.#apart(reads)
    return HeldReader.#allChecked([this, ...others], this.#reader.run(work, to, bounds, signal, inner))
  }

  check(work: QueryWork, seconds: number, signal?: AbortSignal, reads: readonly QueryRead[] = []): Promise<void> {
    const { inner, others } = HeldReader.#apart(reads)
    return HeldReader.#allChecked([this, ...others], this.#reader.check(work, seconds, signal, inner))
  }

  close(): Promise<void> {
    return this.#reader.close()
  }

  #checked<T>(reading: Promise<T>): Promise<T> {
    return HeldReader.#allChecked([this], reading)
  }

  /** What reads several versions is held to each of them. Of damage nobody knows whose it is: all are told. */
  static async #allChecked<T>(readers: readonly HeldReader[], reading: Promise<T>): Promise<T> {
    const check = async () => {
      for (const reader of readers) await reader.#checks.check()
    }
    try {
      const answer = await reading
      await check()
      return answer
    } catch (error) {
      await check()
      const told = await Promise.all(readers.map(reader => reader.#checks.told(error)))
      throw told[0]
    }
  }

  static #apart(reads: readonly QueryRead[]) {
    return {
      others: reads.map(({ reader }) => held(reader)),
      inner: reads.map(read => ({ ...read, reader: held(read.reader).#reader })),
    }
  }
}

function held(reader: SnapshotReader): HeldReader {
  if (reader instanceof HeldReader) return reader
  throw new Error('what is read together must be held together')
}
