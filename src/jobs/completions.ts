import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { listenForNotices, type Notice } from './channel.ts'
import { throughOutages } from './outages.ts'
import { columns, type Intent, type QueryRun } from './records.ts'

/** One entry of a model's log: what has ended. */
export type Completion = { position: bigint } & (
  | { intent: Intent; queryRun: null }
  | { intent: null; queryRun: QueryRun }
)

/** A part of a model's log, read in one go. */
export interface CompletionPage {
  model: string
  completions: Completion[]
  /** Where to go on. */
  position: bigint
  hasNextPage: boolean
  /** The newest version as this page was made. */
  version: number
}

/** A wake-up that was lost costs at most this. */
const POLL_MS = 1000

/**
 * The logs of what has ended. The publishing transaction writes them; a subscription reads on from its position, and is
 * only woken by a notice, so that a lost wake-up, connection or process loses nothing.
 */
export class Completions {
  readonly #db: Database
  readonly #wakers = new Map<string, Set<() => void>>()
  readonly #intentWakers = new Map<string, Set<() => void>>()
  readonly #listeners = new Set<(notice: Notice) => void>()
  #stopListening: () => void = () => {}

  constructor(db: Database) {
    this.#db = db
  }

  async start(log: Log): Promise<void> {
    const wake = (wakers: Iterable<() => void> | undefined) => {
      for (const waker of wakers ?? []) waker()
    }
    this.#stopListening = await listenForNotices(
      this.#db,
      notice => {
        if (notice.is === 'ended') wake(this.#wakers.get(notice.model))
        if (notice.is === 'changed') wake(this.#intentWakers.get(notice.intent))
        for (const listener of this.#listeners) listener(notice)
      },
      () => {
        log.debug('listening for notices')
        for (const wakers of [...this.#wakers.values(), ...this.#intentWakers.values()]) wake(wakers)
      },
    )
  }

  /** Tells every notice to somebody else of this process, until the answer is called. */
  onNotice(listener: (notice: Notice) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** The position of the newest completion. */
  async newest(model: string): Promise<bigint | null> {
    const [row] = await this.#db.query<{ completions: bigint }>(
      'SELECT completions FROM goal_model WHERE id = $1 AND deleted_at IS NULL',
      [model],
    )
    return row?.completions ?? null
  }

  /** What comes after `position`, at most `limit`; null where the model is not there. */
  async read(model: string, position: bigint, limit: number): Promise<CompletionPage | null> {
    // One statement, so that log and version are of one moment: what the log tells of can be read at that version.
    const rows = await this.#db.query<
      { position: bigint | null; run: string | null; newest: bigint; newestVersion: number } & Intent
    >(
      `SELECT c.position, c.query_run AS run, m.completions AS newest, m.version AS "newestVersion", ${columns.intent('i')}
         FROM goal_model m LEFT JOIN LATERAL (
                SELECT position, intent, query_run FROM completion WHERE model = m.id AND position > $2 ORDER BY position LIMIT $3) c ON true
              LEFT JOIN intent i ON i.id = c.intent
        WHERE m.id = $1 AND m.deleted_at IS NULL ORDER BY c.position`,
      [model, position, limit],
    )
    const [first] = rows
    if (!first) return null
    const runs = await this.#runs(rows.flatMap(({ run }) => run ?? []))
    const completions = rows.flatMap(({ position: at, run, newest, newestVersion, ...intent }): Completion[] => {
      if (at === null) return []
      const queryRun = run === null ? null : runs.get(run)
      return [queryRun ? { position: at, intent: null, queryRun } : { position: at, intent, queryRun: null }]
    })
    const reached = completions.at(-1)?.position ?? position
    return { model, completions, position: reached, hasNextPage: reached < first.newest, version: first.newestVersion }
  }

  /** They have ended, and stay as they are. */
  async #runs(ids: readonly string[]): Promise<Map<string, QueryRun>> {
    if (ids.length === 0) return new Map()
    const found = await this.#db.query<QueryRun>(
      `SELECT ${columns.queryRun('q')} FROM query_run q WHERE q.id = ANY($1)`,
      [ids],
    )
    return new Map(found.map(run => [run.id, run]))
  }

  /**
   * The log from `after` on (null: from now), for ever, in pages of at most `pageSize`. The first page comes at once,
   * perhaps empty; it ends when the model is deleted or the signal aborts, and outlives outages of the database.
   */
  async *follow(
    model: string,
    after: bigint | null,
    pageSize: number,
    signal: AbortSignal,
  ): AsyncGenerator<CompletionPage> {
    using waker = waking([[this.#wakers, model]], signal)
    const start = after ?? (await this.newest(model))
    if (start === null) return
    let position: bigint = start
    for (let first = true; !signal.aborted; first = false) {
      const page = await throughOutages(() => this.read(model, position, pageSize), signal)
      if (!page) return
      if (first || page.completions.length > 0) yield page
      position = page.position
      if (!page.hasNextPage) await waker.woken(POLL_MS)
    }
  }

  /** Settles when the model's log may have gone on, an intent's state may have changed, or after a while. */
  async *intentChanges(intent: { id: string; model: string }, signal: AbortSignal): AsyncGenerator<void> {
    using waker = waking(
      [
        [this.#wakers, intent.model],
        [this.#intentWakers, intent.id],
      ],
      signal,
    )
    while (!signal.aborted) {
      yield
      await waker.woken(POLL_MS)
    }
  }

  /** Holds `look` back until it answers true, or the time is over. True where it did. */
  async until(model: string, look: () => Promise<boolean>, waitMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = performance.now() + waitMs
    using waker = waking([[this.#wakers, model]], signal)
    for (;;) {
      if (await look()) return true
      const left = end - performance.now()
      if (left <= 0 || signal?.aborted) return false
      await waker.woken(Math.min(left, POLL_MS))
    }
  }

  close(): void {
    this.#stopListening()
  }
}

/** A waker at each of the places, registered from now on: what happens between two waits wakes the second at once. */
function waking(places: readonly (readonly [Map<string, Set<() => void>>, string])[], signal?: AbortSignal) {
  let pending = false
  let resolve: (() => void) | null = null
  const wake = () => {
    pending = true
    resolve?.()
  }
  for (const [wakers, key] of places) wakers.set(key, (wakers.get(key) ?? new Set()).add(wake))
  signal?.addEventListener('abort', wake)
  return {
    /** One wait at a time. */
    async woken(ms: number): Promise<void> {
      if (!pending) {
        let timer: NodeJS.Timeout | undefined
        await new Promise<void>(done => {
          resolve = done
          timer = setTimeout(done, ms)
        })
        clearTimeout(timer)
        resolve = null
      }
      pending = false
    },
    [Symbol.dispose]: () => {
      signal?.removeEventListener('abort', wake)
      for (const [wakers, key] of places) {
        const set = wakers.get(key)
        set?.delete(wake)
        if (set?.size === 0) wakers.delete(key)
      }
    },
  }
}
