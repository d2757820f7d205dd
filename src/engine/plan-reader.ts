import type { Kind } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import { aggregateReader } from './aggregate-rows.ts'
import { type EarlierAnswers, versionName } from './earlier-answers.ts'
import type { QueryBounds, QueryRead, QueryResult, QueryWork, SnapshotRef, VersionOpened } from './engine.ts'
import type { AggregatePlan, AggregateRow, Filter, RowsPlan } from './plan.ts'
import { type PlanRead, touchingRead } from './plan-reads.ts'
import type { ResultCache } from './result-cache.ts'
import { holding, type VersionBeside, versionBeside } from './versions-beside.ts'

export interface PlanReaderOptions {
  state: { version: number; lastSeq: bigint }
  kind: Kind
  /** Of this reader alone, and never given to another. */
  name: string
  /** Null where it is not known which version this is, or it is not read as it is. */
  of: VersionOpened | null
  results: ResultCache
  earlier: EarlierAnswers
}

/** Another version that is read together with this. */
export type OtherVersion = Omit<QueryRead, 'reader'> & { of: ReturnType<typeof versionBeside> }

/**
 * What the readers of all engines have in common: what a plan answered is kept, and taken over by later versions, and a version
 * stays open for as long as it is read. An engine says how a plan is read.
 */
export abstract class PlanReader implements VersionBeside {
  readonly version: number
  readonly lastSeq: bigint
  /** What the kind says of the version's tables. */
  readonly kind: Kind
  protected readonly name: string
  protected readonly of: VersionOpened | null
  readonly #results: ResultCache
  readonly #earlier: EarlierAnswers
  readonly #reads = new Set<Promise<unknown>>()
  #closed: Promise<void> | undefined

  constructor({ state, kind, name, of, results, earlier }: PlanReaderOptions) {
    this.version = state.version
    this.lastSeq = state.lastSeq
    this.kind = kind
    this.name = name
    this.of = of
    this.#results = results
    this.#earlier = earlier
  }

  abstract asSource(alias: string, model: string): SnapshotRef

  protected abstract read(read: PlanRead, signal: AbortSignal): Promise<readonly Row[]>

  /** The same, as if its table had its last rows alone, so many; null where the engine cannot tell these. */
  protected abstract readLast(read: PlanRead, rows: number, signal: AbortSignal): Promise<readonly Row[] | null>

  /** Does the work in a process, and with `to` puts the result there. All versions are held open. */
  protected abstract inProcess(
    work: QueryWork,
    to: string | null,
    bounds: QueryBounds,
    others: readonly OtherVersion[],
    signal: AbortSignal | undefined,
  ): Promise<QueryResult>

  /** Releases what it has, once nobody reads it and nobody will. */
  protected abstract release(): Promise<void>

  /** Nobody reads it for now. */
  protected onUnread(): void {}

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

  async aggregate(plan: AggregatePlan, signal?: AbortSignal): Promise<AggregateRow[]> {
    const rows = await this.#planned({ is: 'groups', plan }, signal)
    return rows.map(aggregateReader(this.kind, plan))
  }

  countGroups(plan: AggregatePlan, signal?: AbortSignal): Promise<bigint> {
    return this.#count({ is: 'count of groups', plan }, signal)
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
    bounds: QueryBounds,
    signal: AbortSignal | undefined,
    reads: readonly QueryRead[] = [],
  ): Promise<QueryResult> {
    const others = reads.map(({ reader, ...read }) => ({ ...read, of: versionBeside(reader) }))
    return holding([this, ...others.map(({ of }) => of)], () => this.inProcess(work, to, bounds, others, signal))
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    // Reads that are under way may hold it once more.
    while (this.#reads.size > 0) await Promise.allSettled(this.#reads)
    await this.release()
  }

  async #count(read: PlanRead, signal?: AbortSignal): Promise<bigint> {
    const [row] = await this.#planned(read, signal)
    return BigInt(String(row?.count))
  }

  /** No other model gets the id of this, and no other reader its name. */
  #planned(read: PlanRead, signal?: AbortSignal): Promise<readonly Row[]> {
    const name = JSON.stringify(read)
    const version = this.of ? versionName(this.of.model, this.version) : this.name
    // It is held from the beginning, before anything is waited for.
    const find = (signal: AbortSignal) =>
      holding([this], async () => {
        const rows = (await this.#takenOver(read, name, signal)) ?? (await this.read(read, signal))
        await this.of?.check()
        return rows
      })
    return this.result(`${version} ${name}`, find, signal)
  }

  /** What an earlier version answered, where no row has come since that would make it another. */
  async #takenOver(read: PlanRead, name: string, signal: AbortSignal): Promise<readonly Row[] | null> {
    const earlier = this.of && this.#earlier.find(this.of, this.kind, read, name)
    if (!earlier || earlier.added === 0) return earlier?.rows ?? null
    const touching = await this.readLast(touchingRead(this.kind, read, earlier.rows), earlier.added, signal)
    return touching?.length === 0 ? earlier.rows : null
  }

  /** What is kept under the key, or will be once it has been read. */
  protected async result<T extends object>(
    key: string,
    read: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    this.mustBeOpen()
    return this.#results.get(key, read, signal, this.name)
  }

  /** The version stays open until what this answers is called. */
  holdOpen(): () => void {
    this.mustBeOpen()
    return this.hold()
  }

  /** The same for who holds it already. */
  protected hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#reads.add(promise)
    return () => {
      this.#reads.delete(promise)
      if (this.#reads.size === 0) this.onUnread()
      resolve()
    }
  }

  protected mustBeOpen(): void {
    if (this.#closed) throw new Error('the snapshot reader is closed')
  }
}
