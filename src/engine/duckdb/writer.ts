import { mkdir } from 'node:fs/promises'
import { TeatreeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import type { SnapshotFile, SnapshotRef, TableRows, Work, WorkOutcome, Writer, WriterOptions } from '../engine.ts'
import { SourceDamaged } from '../snapshot-damaged.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { applyBatch } from './apply-batch.ts'
import { causeInSources } from './damaged-sources.ts'
import type { WriterResources } from './database.ts'
import { hydratedSources } from './hydrated-sources.ts'
import { checkShape, closeModel, discardModel, type OpenModel, openModel, takeUpAdditions } from './open-model.ts'
import { type State, writeState } from './state.ts'
import { transaction } from './transaction.ts'

export interface DuckDBWriterOptions extends WriterOptions, WriterResources {
  /** Where a fault of a kind's function is told, of which clients learn the id alone. */
  log: Pick<Log, 'error'>
}

/**
 * Opens the one read-write database of a model, in the empty folder `dir`.
 * @throws TeatreeError KIND_CHANGED where the model was made with a shape of the kind that this one cannot take up
 * @throws SurroundingsError
 */
export const openDuckDBWriter = async (options: DuckDBWriterOptions): Promise<DuckDBWriter> =>
  new DuckDBWriter(options, await openModel(options, options.from))

interface Beginning {
  work: Work
  from: SnapshotRef
}

/** One connection, one call at a time. After a call that threw, nothing but `close` is to be had of it. */
export class DuckDBWriter implements Writer {
  readonly #options: DuckDBWriterOptions
  #model: OpenModel
  readonly #closing = new AbortController()
  #call: Promise<unknown> | undefined
  #isBroken = false
  #closed: Promise<void> | undefined

  constructor(options: DuckDBWriterOptions, model: OpenModel) {
    this.#options = options
    this.#model = model
  }

  get version(): number {
    return this.#model.state.version
  }

  get lastSeq(): bigint {
    return this.#model.state.lastSeq
  }

  get hasAdditions(): boolean {
    return this.#model.additions.length > 0
  }

  apply(work: readonly Work[], version: number): Promise<WorkOutcome[]> {
    const signal = AbortSignal.any([this.#closing.signal, ...new Set(work.map(each => each.signal))])
    return this.#only(signal, async () => {
      const state = { version, lastSeq: work.at(-1)?.seq ?? this.lastSeq }
      const beginning = this.#beginning(work)
      const outcomes = beginning ? [await this.#begin(beginning, state)] : await this.#apply(work, state, signal)
      this.#model.state = { ...this.#model.state, ...state }
      return outcomes
    })
  }

  snapshot(dir: string): Promise<{ files: SnapshotFile[]; tables: TableRows[] }> {
    const { bases, counts, db } = this.#model
    return this.#only(this.#closing.signal, async () => {
      if (await bases.isDue()) await bases.renew(db.sql)
      await mkdir(dir, { recursive: true })
      const files = await bases.publish(dir)
      const tables = await counts.tables()
      bases.renewBehind(db.sql)
      return { files, tables }
    })
  }

  tidy(): Promise<void> {
    const { bases, db } = this.#model
    return this.#only(this.#closing.signal, async () => {
      if (await bases.isWorthwhile()) await bases.renew(db.sql)
    })
  }

  /** Stops what is under way and releases everything; the folder is left to who made it. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort(new Error('the writer is closed'))
    await this.#call?.catch(() => {})
    await closeModel(this.#model)
  }

  async #apply(work: readonly Work[], state: Pick<State, 'version' | 'lastSeq'>, signal: AbortSignal) {
    const { kind, kinds, dir, log } = this.#options
    const { db, counts } = this.#model
    const onInternal = (id: string, err: unknown) => log.error({ err, id }, 'an intent failed by a fault of its kind')
    await takeUpAdditions(this.#model, kind)
    const outcomes = await applyBatch({ db, kind, kinds, dir, signal, onInternal }, work, state)
    counts.applied(work, outcomes, state.version)
    return outcomes
  }

  /** A copy is always alone. */
  #beginning([work]: readonly Work[]): Beginning | null {
    return work?.change.is === 'copy' ? { work, from: work.change.from } : null
  }

  /**
   * A scenario begins with the files of its source: at the price of a copy of them, not of putting in their rows anew.
   * Whatever the model held before is gone.
   */
  async #begin(beginning: Beginning, state: Pick<State, 'version' | 'lastSeq'>): Promise<WorkOutcome> {
    const options = this.#options
    const refuse = async (error: TeatreeError): Promise<WorkOutcome> => {
      await transaction(this.#model.db.sql, () => writeState(this.#model.db.sql, state))
      return { ok: false, error }
    }
    let sources: Awaited<ReturnType<typeof hydratedSources>>
    try {
      sources = await hydratedSources([{ ref: beginning.from }], { ...options, signal: beginning.work.signal })
    } catch (error) {
      if (error instanceof TeatreeError) return refuse(error)
      throw error
    }
    await using held = sources
    const [from = beginning.from] = held.refs
    return await this.#beginWith({ work: beginning.work, from }, state, refuse)
  }

  async #beginWith(
    { work, from }: Beginning,
    state: Pick<State, 'version' | 'lastSeq'>,
    refuse: (error: TeatreeError) => Promise<WorkOutcome>,
  ): Promise<WorkOutcome> {
    const options = this.#options
    // Version 0 has no files, and is empty.
    const files = from.version === 0 ? null : from.files
    try {
      if (files) await checkShape(files, options.kind)
    } catch (error) {
      if (!(error instanceof TeatreeError)) throw await causeInSources(error, [from])
      return refuse(error)
    }
    const deleted = rowsIn(await this.#model.counts.tables())
    work.onStep('copy files', null)
    await discardModel(this.#model, options.dir)
    try {
      // What is not held against its checksums here would be sound data of the scenario, for ever.
      this.#model = await openModel({ ...options, checksums: from.checksums, isShared: true }, files)
    } catch (error) {
      throw await causeInSources(error, [from])
    }
    const { db, counts, state: held } = this.#model
    counts.replaced(state.version)
    if (held.version !== from.version) throw new SourceDamaged(from)
    await takeUpAdditions(this.#model, options.kind)
    await transaction(db.sql, () => writeState(db.sql, state))
    const inserted = rowsIn(await counts.tables())
    return { ok: true, result: { inserted: String(inserted), updated: '0', deleted: String(deleted) } }
  }

  /** That one call runs at a time is not hoped for. What a call throws is of the surroundings, and breaks the writer. */
  async #only<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.#call) throw new Error('the writer does one call at a time')
    if (this.#isBroken || this.#closed) throw new Error('the writer is broken or closed')
    const calling = this.#model.bases.renewed().then(call)
    this.#call = calling
    try {
      return await calling
    } catch (error) {
      this.#isBroken = true
      throw signal.aborted ? signal.reason : new SurroundingsError('the model could not be written', error)
    } finally {
      this.#call = undefined
    }
  }
}

const rowsIn = (tables: readonly TableRows[]): number => tables.reduce((sum, { rows }) => sum + rows, 0)
