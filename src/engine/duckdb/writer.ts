import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kind, Kinds } from '../../kinds/kind.ts'
import { type Addition, shapeDifference } from '../../kinds/shape.ts'
import { TeatreeError } from '../../platform/errors.ts'
import type { Log } from '../../platform/log.ts'
import type { SnapshotFile, TableRows, Work, WorkOutcome, Writer, WriterOptions } from '../engine.ts'
import { applyBatch, transaction } from './apply-batch.ts'
import { Bases } from './bases.ts'
import { type ModelDatabase, openDatabase, type WriterResources } from './database.ts'
import { addToTables, createTables } from './ddl.ts'
import { SurroundingsError } from './errors.ts'
import { createState, PART_OF_BATCH, readState, type State, writeState } from './state.ts'
import { TableCounts } from './table-counts.ts'

export interface DuckDBWriterOptions extends WriterOptions, WriterResources {
  /** Where a fault of a kind's function is told, of which clients learn the id alone. */
  log: Pick<Log, 'error'>
}

/**
 * Opens the one read-write database of a model, in the empty folder `dir`.
 * @throws TeatreeError KIND_CHANGED where the model was made with a shape of the kind that this one cannot take up
 * @throws SurroundingsError
 */
export async function openDuckDBWriter(options: DuckDBWriterOptions): Promise<DuckDBWriter> {
  const { kind, dir, from } = options
  let db: ModelDatabase | undefined
  try {
    db = await openDatabase(dir, from, options)
    if (from === null) await createModel(db, kind)
    const state = await readState(db.sql)
    if (state.version === PART_OF_BATCH) throw new Error('the database holds a part of a batch, and so no version')
    return new DuckDBWriter(options, db, state, additionsTo(kind, state))
  } catch (error) {
    db?.close()
    throw error instanceof TeatreeError ? error : new SurroundingsError('the model could not be opened', error)
  }
}

const createModel = ({ sql }: ModelDatabase, kind: Kind): Promise<void> =>
  transaction(sql, async () => {
    await createState(sql, kind.shape)
    await createTables(sql, kind)
  })

function additionsTo(kind: Kind, state: State): readonly Addition[] {
  const { additive, breaking } = shapeDifference(state.shape, kind.shape)
  if (breaking.length > 0) {
    throw new TeatreeError('KIND_CHANGED', `kind ${kind.name} has changed: ${breaking.join('; ')}`, {
      details: { differences: breaking },
    })
  }
  return additive
}

/** One connection, one call at a time. After a call that threw, nothing but `close` is to be had of it. */
export class DuckDBWriter implements Writer {
  readonly #options: { kind: Kind; kinds: Kinds; dir: string; log: Pick<Log, 'error'> }
  readonly #db: ModelDatabase
  readonly #bases: Bases
  readonly #rows: TableCounts
  readonly #closing = new AbortController()
  #additions: readonly Addition[]
  #state: State
  #call: Promise<unknown> | undefined
  #isBroken = false
  #closed: Promise<void> | undefined

  constructor(options: DuckDBWriterOptions, db: ModelDatabase, state: State, additions: readonly Addition[]) {
    this.#options = options
    this.#db = db
    this.#bases = new Bases(join(options.dir, 'bases'), db.path)
    this.#rows = new TableCounts(db.sql, [...options.kind.tables.keys()])
    this.#state = state
    this.#additions = additions
  }

  get version(): number {
    return this.#state.version
  }

  get lastSeq(): bigint {
    return this.#state.lastSeq
  }

  /** Whether the kind has got tables or columns that the database will have with the next version. */
  get hasAdditions(): boolean {
    return this.#additions.length > 0
  }

  apply(work: readonly Work[], version: number): Promise<WorkOutcome[]> {
    const { kind, kinds, dir, log } = this.#options
    const signal = AbortSignal.any([this.#closing.signal, ...new Set(work.map(each => each.signal))])
    const onInternal = (id: string, err: unknown) => log.error({ err, id }, 'an intent failed by a fault of its kind')
    return this.#only(signal, async () => {
      await this.#takeUpAdditions()
      const state = { version, lastSeq: work.at(-1)?.seq ?? this.#state.lastSeq }
      const outcomes = await applyBatch({ db: this.#db, kind, kinds, dir, signal, onInternal }, work, state)
      this.#state = { ...this.#state, ...state }
      this.#rows.applied(work, outcomes)
      return outcomes
    })
  }

  snapshot(dir: string): Promise<{ files: SnapshotFile[]; tables: TableRows[] }> {
    return this.#only(this.#closing.signal, async () => {
      if (await this.#bases.isDue()) await this.#bases.renew(this.#db.sql)
      await mkdir(dir, { recursive: true })
      const files = await this.#bases.publish(dir)
      return { files, tables: await this.#rows.tables() }
    })
  }

  tidy(): Promise<void> {
    return this.#only(this.#closing.signal, async () => {
      if (await this.#bases.isWorthwhile()) await this.#bases.renew(this.#db.sql)
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
    this.#db.close()
  }

  async #takeUpAdditions(): Promise<void> {
    if (this.#additions.length === 0) return
    const { sql } = this.#db
    const { kind } = this.#options
    // A transaction of its own: it holds whatever becomes of the intents, and DuckDB inserts no rows behind an ALTER.
    await transaction(sql, async () => {
      await addToTables(sql, kind, this.#additions)
      await writeState(sql, { version: PART_OF_BATCH, shape: kind.shape })
    })
    this.#additions = []
    this.#state = { ...this.#state, shape: kind.shape }
  }

  /** That one call runs at a time is not hoped for. What a call throws is of the surroundings, and breaks the writer. */
  async #only<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.#call) throw new Error('the writer does one call at a time')
    if (this.#isBroken || this.#closed) throw new Error('the writer is broken or closed')
    const calling = call()
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
