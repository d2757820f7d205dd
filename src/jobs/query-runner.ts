import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { QueryRead, QueryResult, SnapshotReader } from '../engine/engine.ts'
import { isUnavailable, TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import type { QuerySettings } from '../platform/settings.ts'
import type { Completions } from './completions.ts'
import { LEASE_SECONDS, RENEW_SECONDS } from './lease.ts'
import { throughOutages } from './outages.ts'
import { endRuns, type QueryEnding } from './query-endings.ts'
import { measured } from './query-metrics.ts'
import { columns, intentError, type QueryRun } from './records.ts'
import type { Snapshots } from './snapshots.ts'
import type { StoredResults } from './stored-results.ts'

/** The bound on what a lost notice costs. */
const LOOK_MS = 2000
/** Between two tries to store a result; less than what lies here unused is kept. */
const STORE_MS = { first: 1000, most: 60_000 }
/** So long what the surroundings did not let through is left alone, longer each time: a version that is made again, too many reads. */
const RETRY_SECONDS = { first: 5, most: 600 }
/** A run is not put back that has been taken up so often, which is hours: what it waits for may never come. */
const MAX_ATTEMPTS = 20
/** A run whose server did not come back from it so often is not tried again. */
const MAX_DEATHS = 3

export interface QueryRunnerDeps {
  db: Database
  snapshots: Pick<Snapshots, 'find' | 'open'>
  completions: Pick<Completions, 'onNotice'>
  results: StoredResults
  limits: QuerySettings['runs']
  log: Log
}

/** A run with the versions of other models that it reads, in the order of its function's arguments. */
interface TakenRun extends QueryRun {
  reads: readonly { alias: string; model: string; version: number }[]
}

interface Running {
  run: TakenRun
  over: AbortController
  done: Promise<void>
}

/**
 * Runs what waits in `query_run`, so many at once in this process, those models first that have the fewest running. A
 * run is a server's as long as that says so (`held_until`, by the database's clock): one that was killed says nothing,
 * and another takes it up with the next attempt. What an earlier attempt still writes says "where attempt = mine".
 */
export class QueryRunner {
  readonly #deps: QueryRunnerDeps
  readonly #running = new Map<string, Running>()
  readonly #stop = new AbortController()
  #stopNotices: () => void = () => {}
  readonly #timers: NodeJS.Timeout[] = []
  #looking: Promise<void> | null = null
  #again = false
  #renewing: Promise<void> | null = null

  constructor(deps: QueryRunnerDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#stopNotices = this.#deps.completions.onNotice(notice => {
      if (notice.is === 'query') this.look()
      // One of those that are under way may have been cancelled.
      if (notice.is === 'ended' && this.#has(notice.model)) this.#renew()
    })
    this.#timers.push(setInterval(() => this.look(), LOOK_MS))
    this.#timers.push(setInterval(() => this.#renew(), RENEW_SECONDS * 1000))
    this.look()
  }

  #has(model: string): boolean {
    return [...this.#running.values()].some(({ run }) => run.model === model)
  }

  /** Takes up what waits, as far as there are places. */
  look(): void {
    this.#again = true
    this.#looking ??= this.#lookOn()
  }

  async #lookOn(): Promise<void> {
    await null
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false
      try {
        while (this.#running.size < this.#deps.limits.places && !this.#stop.signal.aborted) {
          const run = await this.#take()
          if (!run) break
          this.#begin(run)
        }
      } catch (error) {
        this.#deps.log.warn({ err: error }, 'query runs could not be looked for')
      }
    }
    this.#looking = null
  }

  /** Not right after the database has come back: who could not reach it has to have his turn. */
  async #take(): Promise<TakenRun | null> {
    const [run] = await this.#deps.db.query<TakenRun>(
      `UPDATE query_run q
          SET state = 'RUNNING', attempt = q.attempt + 1, deaths = q.deaths + (q.state = 'RUNNING')::integer, retry_at = NULL,
              started_at = coalesce(q.started_at, clock_timestamp()),
              held_until = clock_timestamp() + make_interval(secs => $1)
        WHERE q.id = (
          SELECT w.id FROM query_run w
           WHERE w.ended_at IS NULL
             AND CASE WHEN w.state = 'QUEUED' THEN w.retry_at IS NULL OR w.retry_at < clock_timestamp()
                      ELSE w.held_until < clock_timestamp()
                           AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $1) END
           ORDER BY (SELECT count(*) FROM query_run r
                      WHERE r.model = w.model AND r.ended_at IS NULL AND r.held_until > clock_timestamp()),
                    w.submitted_at, w.id
           LIMIT 1 FOR UPDATE SKIP LOCKED)
        RETURNING ${columns.queryRun('q')}, coalesce((
          SELECT json_agg(json_build_object('alias', r.alias, 'model', r.model, 'version', r.version) ORDER BY r.position)
            FROM query_run_read r WHERE r.query_run = q.id), '[]') AS reads`,
      [LEASE_SECONDS],
    )
    return run ?? null
  }

  #begin(run: TakenRun): void {
    const over = new AbortController()
    const done = this.#run(run, AbortSignal.any([over.signal, this.#stop.signal]))
      .catch(error => this.#deps.log.error({ queryRun: run.id, err: error }, 'a query run was not ended'))
      .finally(() => {
        this.#running.delete(run.id)
        this.look()
      })
    this.#running.set(run.id, { run, over, done })
  }

  async #run(run: TakenRun, signal: AbortSignal): Promise<void> {
    const { log } = this.#deps
    const attributes = { 'teatree.model': run.model, 'teatree.version': run.readVersion, 'teatree.query_run': run.id }
    try {
      if (run.deaths >= MAX_DEATHS)
        return await this.#end(run, { state: 'FAILED', error: intentError(gaveUp()) }, signal)
      const ending = await measured('run', attributes, () => this.#compute(run, signal), { parent: run.traceparent })
      await this.#end(run, ending, signal)
    } catch (error) {
      if (this.#stop.signal.aborted) return this.#putBack(run, 0)
      // Cancelled, or another server's: whoever made it so has written it down.
      if (signal.aborted) return
      if (isUnavailable(error) && run.attempt < MAX_ATTEMPTS) {
        log.warn({ queryRun: run.id, err: error }, 'a query run waits for its surroundings')
        return this.#putBack(run, Math.min(RETRY_SECONDS.first * 2 ** (run.attempt - 1), RETRY_SECONDS.most))
      }
      await this.#end(run, { state: 'FAILED', error: intentError(this.#shown(run, error)) }, signal)
    }
  }

  #shown(run: QueryRun, error: unknown): TeatreeError {
    if (error instanceof TeatreeError) return error
    const id = randomUUID()
    this.#deps.log.error({ queryRun: run.id, err: error, id }, 'a query run failed by a fault of ours')
    return new TeatreeError('INTERNAL', `The query run failed by a fault of the server, which the log has under ${id}.`)
  }

  /** Its result, in the store. */
  async #compute(run: TakenRun, signal: AbortSignal): Promise<QueryEnding> {
    const { results, limits } = this.#deps
    const path = await results.path(run)
    const result = await this.#read(run, path, signal)
    await this.#store(run, path, signal)
    return { state: 'DONE', columns: result.columns, rows: result.rows, keptSeconds: limits.keptSeconds }
  }

  /** Whatever the store does meanwhile: to compute it again would cost more than to wait. */
  async #store(run: QueryRun, path: string, signal: AbortSignal): Promise<void> {
    const { results, log } = this.#deps
    for (let pause = STORE_MS.first; await results.isHere(run); pause = Math.min(pause * 2, STORE_MS.most)) {
      try {
        return await results.store(run, path, signal)
      } catch (error) {
        if (signal.aborted) throw error
        log.warn({ queryRun: run.id, err: error }, 'a result is not in the store; tried again')
      }
      await wait(pause, undefined, { signal })
    }
    throw new TeatreeError('UNAVAILABLE', 'There was no room to keep the result until it was stored.')
  }

  /** The versions are not held on to while the result is being stored. */
  async #read(run: TakenRun, path: string, signal: AbortSignal): Promise<QueryResult> {
    using held = new DisposableStack()
    const own = await this.#open(run.model, run.readVersion, held, signal)
    const reads: QueryRead[] = []
    for (const { alias, model, version } of run.reads)
      reads.push({ alias, model, reader: await this.#openOther(model, version, held, signal) })
    return await own.run(run.work, path, this.#deps.limits, signal, reads)
  }

  async #open(model: string, version: number, held: DisposableStack, signal: AbortSignal): Promise<SnapshotReader> {
    const { snapshots } = this.#deps
    const open = await snapshots.open(await snapshots.find(model, { version }, 0, signal))
    held.defer(() => open.release())
    return open.reader
  }

  /** Nothing keeps a model from being deleted that is no longer among the reads: what waited for it is told of it. */
  async #openOther(model: string, version: number, held: DisposableStack, signal: AbortSignal) {
    try {
      return await this.#open(model, version, held, signal)
    } catch (error) {
      if (!(error instanceof TeatreeError) || error.code !== 'NOT_FOUND') throw error
      throw new TeatreeError('SNAPSHOT_GONE', `Model ${model}, which the query reads, was deleted.`, { cause: error })
    }
  }

  /** Writes down what became of it, whatever the database does meanwhile; nothing, where it is no longer this attempt's. */
  async #end(run: QueryRun, ending: QueryEnding, signal: AbortSignal): Promise<void> {
    const { db, results } = this.#deps
    const mine = `q.id = $2 AND q.attempt = $3 AND q.state = 'RUNNING'`
    const isMine = await throughOutages(
      () =>
        db.transaction(async tx => {
          const ended = await endRuns(tx, run.model, ending, mine, [run.id, run.attempt])
          if (ended.length > 0 && ending.state === 'DONE') await results.publish(tx, run)
          return ended.length > 0
        }),
      signal,
    )
    if (!isMine && ending.state === 'DONE') await results.discard(run)
  }

  async #putBack({ id, attempt }: QueryRun, seconds: number): Promise<void> {
    await this.#deps.db.query(
      `UPDATE query_run SET state = 'QUEUED', held_until = NULL, retry_at = clock_timestamp() + make_interval(secs => $3)
        WHERE id = $1 AND attempt = $2 AND state = 'RUNNING'`,
      [id, attempt, seconds],
    )
  }

  /** Says that those under way are still this process's, and ends what is not. */
  #renew(): void {
    this.#renewing ??= this.#renewOnce()
      .catch(error => this.#deps.log.warn({ err: error }, 'query runs were not held on to'))
      .finally(() => {
        this.#renewing = null
      })
  }

  async #renewOnce(): Promise<void> {
    const before = [...this.#running.values()]
    if (before.length === 0) return
    const held = await this.#deps.db.query<{ id: string; attempt: number }>(
      `UPDATE query_run q SET held_until = clock_timestamp() + make_interval(secs => $1)
         FROM unnest($2::uuid[], $3::integer[]) AS mine (id, attempt)
        WHERE q.id = mine.id AND q.attempt = mine.attempt AND q.state = 'RUNNING' RETURNING q.id`,
      [LEASE_SECONDS, before.map(({ run }) => run.id), before.map(({ run }) => run.attempt)],
    )
    const ids = new Set(held.map(({ id }) => id))
    for (const { run, over } of before) if (!ids.has(run.id)) over.abort(new Error('the query run has ended'))
  }

  /** What is under way goes back to the line. */
  async close(): Promise<void> {
    this.#stopNotices()
    for (const timer of this.#timers) clearInterval(timer)
    this.#stop.abort(new Error('the server stops'))
    await this.#looking
    await Promise.all([...this.#running.values()].map(({ done }) => done))
    await this.#renewing
  }
}

const gaveUp = () =>
  new TeatreeError(
    'INTERNAL',
    `The server that ran it was lost ${MAX_DEATHS} times, and it is not tried again; start it anew.`,
  )
