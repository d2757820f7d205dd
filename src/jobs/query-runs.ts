import { createHash, randomUUID } from 'node:crypto'
import type { QueryWork } from '../engine/engine.ts'
import { canonicalJson } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import { type Database, type Transaction, violates } from '../platform/postgres.ts'
import { newTraceparent, traceparent } from '../platform/telemetry/index.ts'
import { notifyQuery } from './channel.ts'
import { isUuid, noModel } from './ledger.ts'
import { endRuns } from './query-endings.ts'
import { columns, type QueryRun, type Version } from './records.ts'
import { versionGone } from './version-leases.ts'

type VersionName = Pick<Version, 'model' | 'version'>

/** A long read that somebody asks for; its work has been checked. */
export interface NewQueryRun {
  version: VersionName
  /** Versions of other models that its function reads, by the arguments that name them, in their order. */
  reads: readonly { alias: string; version: VersionName }[]
  work: QueryWork
  /** As it was asked for, with what was said of the version: the same key must say the same again. */
  asked: unknown
  idempotencyKey: string | null
  submittedBy: string | null
}

/** Waiting and running, of one model. */
const MAX_WAITING = 1_000
const MAX_KEY = 200

/**
 * Query runs, as those who ask see them. They are written down and taken up from there by any server
 * (query-runner.ts); the versions that one reads are kept until it has ended (let-go.ts).
 *
 *   QUEUED ── taken up ──▶ RUNNING ─┬─▶ DONE, its result in the store until it expires
 *     ▲                      │      └─▶ FAILED
 *     └── its server died, ──┘
 *         or stopped          QUEUED, RUNNING ── cancelQuery ──▶ CANCELLED
 */
export class QueryRuns {
  readonly #db: Database

  constructor(db: Database) {
    this.#db = db
  }

  async get(id: string): Promise<QueryRun | null> {
    if (!isUuid(id)) return null
    const [run] = await this.#db.query<QueryRun>(`SELECT ${columns.queryRun('q')} FROM query_run q WHERE q.id = $1`, [
      id,
    ])
    return run ?? null
  }

  /** What was taken on with the same key; null where nothing was, or there is no key. IDEMPOTENCY_CONFLICT, BAD_VALUE. */
  async earlier(model: string, { asked, idempotencyKey: key }: Pick<NewQueryRun, 'asked' | 'idempotencyKey'>) {
    if (key === null) return null
    if (key === '' || key.length > MAX_KEY || key.includes('\0'))
      throw new TeatreeError('BAD_VALUE', `idempotencyKey: 1 to ${MAX_KEY} characters.`)
    const [found] = await this.#db.query<QueryRun & { digest: Buffer }>(
      `SELECT ${columns.queryRun('q')}, q.digest FROM query_run q WHERE q.model = $1 AND q.idempotency_key = $2`,
      [model, key],
    )
    if (!found) return null
    const { digest, ...run } = found
    if (digest.equals(digestOf(asked))) return run
    throw new TeatreeError(
      'IDEMPOTENCY_CONFLICT',
      `The idempotencyKey was used for query run ${run.id}, which asks for something else; use a new key.`,
      { details: { queryRun: run.id } },
    )
  }

  /** Takes it on. SNAPSHOT_GONE, UNAVAILABLE where too many wait, IDEMPOTENCY_CONFLICT. */
  async start(asked: NewQueryRun): Promise<QueryRun> {
    const { model } = asked.version
    const earlier = await this.earlier(model, asked)
    if (earlier) return earlier
    try {
      return await this.#insert(asked)
    } catch (error) {
      // Somebody with the same key was faster.
      const other = violates(error, 'query_run_idempotency') ? await this.earlier(model, asked) : null
      if (other) return other
      throw error
    }
  }

  #insert({ version: own, reads, work, asked, idempotencyKey, submittedBy }: NewQueryRun): Promise<QueryRun> {
    const { model, version } = own
    return this.#db.transaction(async tx => {
      await holdKept(tx, [own, ...reads.map(read => read.version)])
      const [found] = await tx.query<{ waiting: number }>(
        'SELECT count(*)::integer AS waiting FROM query_run q WHERE q.model = $1 AND q.ended_at IS NULL',
        [model],
      )
      if (found && found.waiting >= MAX_WAITING)
        throw new TeatreeError('UNAVAILABLE', `Too many query runs of model ${model} are waiting; try again later.`)
      const [run] = await tx.query<QueryRun>(
        `INSERT INTO query_run AS q (id, model, version, work, digest, idempotency_key, submitted_by, traceparent)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING ${columns.queryRun('q')}`,
        [
          randomUUID(),
          model,
          version,
          JSON.stringify(work),
          digestOf(asked),
          idempotencyKey,
          submittedBy,
          traceparent() ?? newTraceparent(),
        ],
      )
      if (!run) throw new Error('a query run was not written down')
      for (const [position, { alias, version: read }] of reads.entries())
        await tx.query(
          'INSERT INTO query_run_read (query_run, position, alias, model, version) VALUES ($1, $2, $3, $4, $5)',
          [run.id, position, alias, read.model, read.version],
        )
      await notifyQuery(tx, model)
      return run
    })
  }

  /** Ends it, unless it has ended: then it is answered as it is. NOT_FOUND. */
  async cancel(id: string): Promise<QueryRun> {
    const run = await this.get(id)
    if (!run) throw new TeatreeError('NOT_FOUND', `There is no query run ${id}.`)
    await this.#db.transaction(tx => endRuns(tx, run.model, { state: 'CANCELLED' }, 'q.id = $2', [id]))
    return (await this.get(id)) ?? run
  }
}

/**
 * Sees that the versions are kept, and until the transaction ends nobody lets them go: whoever does locks their rows too.
 * Of all models at once, in the order of their ids.
 */
async function holdKept(tx: Transaction, versions: readonly VersionName[]): Promise<void> {
  const found = await tx.query<VersionName & { kept: boolean }>(
    `SELECT v.model, v.version, v.kept FROM model_version v JOIN goal_model m ON m.id = v.model
      WHERE (v.model, v.version) IN (SELECT * FROM unnest($1::text[], $2::integer[])) AND m.deleted_at IS NULL
      ORDER BY v.model, v.version FOR SHARE OF v`,
    [versions.map(({ model }) => model), versions.map(({ version }) => version)],
  )
  for (const { model, version } of versions) {
    const there = found.find(row => row.model === model && row.version === version)
    if (!there) throw noModel(model)
    if (!there.kept) throw versionGone({ model, version })
  }
}

const digestOf = (asked: unknown): Buffer => createHash('sha256').update(canonicalJson(asked)).digest()
