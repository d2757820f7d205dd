import { randomUUID } from 'node:crypto'
import type { QueryRead, QueryWork, ResultColumn, SnapshotReader } from '../engine/engine.ts'
import { Admission } from '../platform/admission.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { QueryGrant } from '../platform/settings.ts'
import { measured } from './query-metrics.ts'
import type { Model } from './records.ts'
import type { ResultFiles } from './result-files.ts'
import type { Snapshots } from './snapshots.ts'

export interface SqlStatement {
  model: Model
  reader: SnapshotReader
  statement: string
  params: readonly unknown[]
  /** Names the version, the statement and its params: the result of it is nobody else's. */
  scope: string
}

/** A page of a statement's result. */
export interface SqlPage {
  columns: readonly ResultColumn[]
  rows: unknown[][]
  hasNextPage: boolean
  /** The result that it is a page of; '' where nothing of it is left to read. */
  result: string
}

/** What is less bounded in a query run. */
const RUNS_MAY = new Set(['QUERY_TIMEOUT', 'RESULT_TOO_LARGE'])
/** Statements that may wait for a place before UNAVAILABLE is answered. */
const MAX_WAITING = 64

/**
 * SELECTs that are answered at once, in pages. A SELECT need not say an order, may draw lots or ask for the time: run
 * again it gives others rows. So it runs once, and where its result has more than the page it is kept for a while:
 *
 *   first page ─▶ process ─▶ result ─┬─ fits the page ─▶ forgotten
 *                                    └─ kept ◀── next pages, 10 minutes from one to the next, then RESULT_GONE
 */
export class SqlQueries {
  readonly #snapshots: Pick<Snapshots, 'readers'>
  readonly #files: ResultFiles
  readonly #limits: QueryGrant
  readonly #admission: Admission

  constructor(deps: { snapshots: Pick<Snapshots, 'readers'>; files: ResultFiles; limits: QueryGrant }) {
    this.#snapshots = deps.snapshots
    this.#files = deps.files
    this.#limits = deps.limits
    this.#admission = new Admission({ places: deps.limits.places, maxWaiting: MAX_WAITING, what: 'SQL statements' })
  }

  /**
   * The rows `[offset, offset + size)`, of the result that an earlier page named, where it named one. Codes as
   * SnapshotReader.run, RESULT_GONE, UNAVAILABLE where too many wait.
   */
  async page(
    of: SqlStatement,
    page: { result: string; offset: number; size: number },
    signal: AbortSignal,
  ): Promise<SqlPage> {
    if (page.result === '') return this.#first(of, page, signal)
    const details = await this.#files.find(page.result)
    // Not his, though a cursor says so: as if it were not there.
    if (details?.of !== of.scope) throw gone()
    return this.#read(of, { ...details, id: page.result }, page, signal)
  }

  async #first(of: SqlStatement, page: { offset: number; size: number }, signal: AbortSignal): Promise<SqlPage> {
    const id = randomUUID()
    const path = await this.#files.path(id)
    let isKept = false
    try {
      const { columns, rows } = await this.#run(of, path, signal)
      isKept = rows > page.offset + page.size
      if (isKept) await this.#files.keep(id, { of: of.scope, columns, rows })
      return await this.#read(of, { id, columns, rows }, page, signal)
    } catch (error) {
      isKept = false
      throw error
    } finally {
      if (!isKept) await this.#files.remove(id)
    }
  }

  /** Has what `startQuery` is about to take on refused, where it would be. */
  check(
    { reader, reads }: Pick<SqlStatement, 'reader'> & { reads: readonly QueryRead[] },
    work: QueryWork,
    signal: AbortSignal,
  ): Promise<void> {
    return this.#admission.run(() => reader.check(work, this.#limits.seconds, signal, reads), { signal })
  }

  async #run({ model, reader, statement, params }: SqlStatement, path: string, signal: AbortSignal) {
    const attributes = { 'teatree.model': model.id, 'teatree.version': reader.version }
    const run = () => reader.run({ is: 'sql', statement, params }, path, this.#limits, signal)
    try {
      return await this.#admission.run(() => measured('sql', attributes, run), { signal })
    } catch (error) {
      throw error instanceof TeatreeError && RUNS_MAY.has(error.code)
        ? new TeatreeError(error.code, `${error.message} A query run (startQuery) may take more.`, { cause: error })
        : error
    }
  }

  async #read(
    { model }: SqlStatement,
    { id, columns, rows: total }: { id: string; columns: readonly ResultColumn[]; rows: number },
    { offset, size }: { offset: number; size: number },
    signal: AbortSignal,
  ): Promise<SqlPage> {
    const readers = await this.#snapshots.readers(model.engine)
    const path = await this.#files.path(id)
    const rows = await readers.resultRows({ path, columns, rows: total }, { offset, limit: size }, signal)
    const hasNextPage = total > offset + size
    return { columns, rows, hasNextPage, result: hasNextPage || offset > 0 ? id : '' }
  }
}

const gone = () =>
  new TeatreeError('RESULT_GONE', 'The result that the cursor goes on in is no longer kept; begin again without after.')
