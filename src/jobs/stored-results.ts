import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { pipeline } from 'node:stream/promises'
import type { ResultColumn, StreamFormat } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database, Transaction } from '../platform/postgres.ts'
import { type Content, columns, type QueryRun } from './records.ts'
import type { ResultFiles } from './result-files.ts'
import type { Snapshots } from './snapshots.ts'

/** A result that can be read, and its file on this machine. */
interface Local {
  path: string
  columns: readonly ResultColumn[]
  rows: number
  engine: EngineName
  content: Content
}

const localName = ({ id, attempt }: Pick<QueryRun, 'id' | 'attempt'>) => `${id}-${attempt}`
const resultName = (run: Pick<QueryRun, 'id' | 'attempt'>) => `${localName(run)}.parquet`
const resultKey = (model: string, name: string) => `${model}/results/${name}`

/**
 * The results of query runs: in the object store, where the content index names each before its first byte is there and
 * until its last one has gone; and while somebody reads them, on this machine.
 *
 *   COMING ── put ──▶ PUBLISHED, with the end of the run ── expired ──▶ GOING ──▶ removed
 *     └── its run was taken up again, cancelled, or failed ───────────────▲
 */
export class StoredResults {
  readonly #db: Database
  readonly #objects: ObjectStore
  readonly #files: ResultFiles
  readonly #snapshots: Pick<Snapshots, 'readers'>
  /** On their way here. */
  readonly #fetching = new Map<string, Promise<unknown>>()

  constructor(deps: {
    db: Database
    objects: ObjectStore
    files: ResultFiles
    snapshots: Pick<Snapshots, 'readers'>
  }) {
    this.#db = deps.db
    this.#objects = deps.objects
    this.#files = deps.files
    this.#snapshots = deps.snapshots
  }

  /** Where this attempt at the run writes its result, on this machine. */
  path(run: Pick<QueryRun, 'id' | 'attempt'>): Promise<string> {
    return this.#files.path(localName(run))
  }

  /** Whether the result of this attempt is on this machine, and goes on to be. */
  isHere(run: Pick<QueryRun, 'id' | 'attempt'>): Promise<boolean> {
    return this.#files.touch(localName(run))
  }

  /** Puts the file of a run under way into the store. */
  async store(run: QueryRun, path: string, signal: AbortSignal): Promise<void> {
    const name = resultName(run)
    const key = resultKey(run.model, name)
    const { size } = await stat(path)
    const sha256 = await digestOf(path, signal)
    await this.#db.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, role, query_run)
       VALUES ($1, $2, 'RESULT', $3, $4, $5, $6, 'COMING', $7)
       ON CONFLICT (model, version, form, name) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256
        WHERE content_index.role = 'COMING'`,
      [run.model, run.readVersion, name, this.#objects.uri(key), size, sha256, run.id],
    )
    await this.#objects.putFile(key, path, { signal, expect: { bytes: size, sha256 }, contentType: MEDIA_TYPE })
  }

  /** As part of the transaction that ends the run: its result is there from then on. */
  async publish(tx: Transaction, run: QueryRun): Promise<void> {
    const published = await tx.query(
      `UPDATE content_index c SET role = 'PUBLISHED', rows = q.row_count, created_at = clock_timestamp()
         FROM query_run q WHERE q.id = $1 AND c.query_run = q.id AND c.name = $2 AND c.role = 'COMING' RETURNING c.id`,
      [run.id, resultName(run)],
    )
    if (published.length === 0) throw new Error(`the result of query run ${run.id} is not in the store`)
  }

  /** Takes out of the store what an attempt put there that was too late; not what did come to be the run's result. */
  async discard(run: QueryRun): Promise<void> {
    const name = resultName(run)
    const published = await this.#db.query(
      `SELECT FROM content_index WHERE query_run = $1 AND name = $2 AND role = 'PUBLISHED'`,
      [run.id, name],
    )
    if (published.length > 0) return
    await this.#objects.delete(resultKey(run.model, name))
    await this.#db.query(`DELETE FROM content_index WHERE query_run = $1 AND name = $2 AND role <> 'PUBLISHED'`, [
      run.id,
      name,
    ])
  }

  /** The files of a run's result: none before it is DONE and after it has expired. */
  async content(run: Pick<QueryRun, 'id'>): Promise<Content[]> {
    return this.#db.query<Content>(
      `SELECT ${columns.content('c', 'v')}
         FROM content_index c JOIN query_run q ON q.id = c.query_run
              JOIN model_version v ON v.model = c.model AND v.version = c.version
        WHERE c.query_run = $1 AND c.role = 'PUBLISHED' AND q.expires_at > clock_timestamp()`,
      [run.id],
    )
  }

  /** Rows `[offset, offset + size)`; null before it is DONE. RESULT_GONE. */
  async page(run: QueryRun, { offset, size }: { offset: number; size: number }, signal: AbortSignal) {
    if (run.state !== 'DONE') return null
    const result = await this.#local(run)
    const readers = await this.#snapshots.readers(result.engine)
    const rows = await readers.resultRows(result, { offset, limit: size }, signal)
    return { columns: result.columns, rows, hasNextPage: result.rows > offset + size }
  }

  /** All of it as bytes of the format. RESULT_GONE. */
  async *stream(run: QueryRun, format: StreamFormat, signal: AbortSignal): AsyncGenerator<Uint8Array, void, void> {
    const result = await this.#local(run)
    const readers = await this.#snapshots.readers(result.engine)
    yield* readers.streamResult(result, format, signal)
  }

  /** All of it as a Parquet file on this machine, which is there for a while. RESULT_GONE. */
  async file(run: QueryRun): Promise<{ path: string; sha256: string }> {
    const { path, content } = await this.#local(run)
    return { path, sha256: content.sha256 }
  }

  gone({ id }: Pick<QueryRun, 'id'>): TeatreeError {
    return new TeatreeError('RESULT_GONE', `The result of query run ${id} is no longer kept; start the query anew.`)
  }

  async #local(run: QueryRun): Promise<Local> {
    const [content] = await this.content(run)
    const [model] = await this.#db.query<{ engine: EngineName }>('SELECT engine FROM goal_model WHERE id = $1', [
      run.model,
    ])
    if (!content || !model || run.columns === null || run.rowCount === null) throw this.gone(run)
    const path = await this.path(run)
    if (!(await this.isHere(run))) await this.#fetch(content, path)
    return { path, columns: run.columns, rows: Number(run.rowCount), engine: model.engine, content }
  }

  async #fetch(content: Content, path: string): Promise<void> {
    const fetching =
      this.#fetching.get(path) ??
      this.#objects
        .getFile(resultKey(content.model, content.name), path, {
          expect: { bytes: Number(content.bytes), sha256: content.sha256 },
        })
        .finally(() => this.#fetching.delete(path))
    this.#fetching.set(path, fetching)
    await fetching
  }
}

/**
 * Removes from the store what has expired, what is of deleted models, and what runs have left that did not come to be
 * DONE with it. Any number of servers may be at it.
 */
export async function removeResults({ db, objects }: { db: Database; objects: ObjectStore }): Promise<void> {
  // The LIMIT has the runs looked up one by one: as a join the planner may go through all that there ever were.
  const going = await db.query<{ id: string; model: string; name: string }>(
    `UPDATE content_index c SET role = 'GOING'
      WHERE c.query_run IS NOT NULL AND (c.role = 'GOING' OR (
        SELECT (m.deleted_at IS NOT NULL AND q.ended_at IS NOT NULL)
               OR (c.role = 'PUBLISHED' AND q.expires_at < clock_timestamp())
               OR (c.role = 'COMING' AND (q.state <> 'RUNNING' OR c.name <> q.id || '-' || q.attempt || '.parquet'))
          FROM query_run q JOIN goal_model m ON m.id = q.model WHERE q.id = c.query_run LIMIT 1))
     RETURNING c.id, c.model, c.name`,
  )
  for (const { id, model, name } of going) {
    await objects.delete(resultKey(model, name))
    await db.query(`DELETE FROM content_index WHERE id = $1 AND role = 'GOING'`, [id])
  }
}

export const MEDIA_TYPE = 'application/vnd.apache.parquet'

async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(path), digest, { signal })
  return digest.digest('hex')
}
