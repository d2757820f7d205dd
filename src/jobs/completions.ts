import { ResultCache } from '../engine/result-cache.ts'
import { isUnavailable } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { listenForNotices, type Notice } from './channel.ts'
import { type CompletionPage, type PageAsked, readCompletions } from './completion-pages.ts'
import { Followed, type FollowedThing } from './followed.ts'
import { IntentLives } from './intent-lives.ts'
import { throughOutages } from './outages.ts'
import { type Most, Together } from './together.ts'
import { Wakers, waking } from './wakers.ts'

/** A wake-up that was lost costs at most this. */
const POLL_MS = 1000
/** Pages that those who follow the same log have in common. */
const MAX_PAGES_BYTES = 32 << 20
/** Pages of different logs, read by one statement: each may be large. */
const READ_AT_ONCE: Most<unknown> = { items: 32, bytes: Number.POSITIVE_INFINITY, bytesOf: () => 0 }

/** A page that is being read. */
interface Reading {
  state: number
  position: bigint
  pageSize: number
  read: Promise<{ page: CompletionPage | null }>
}

/**
 * The logs of what has ended. The publishing transaction writes them; a subscription reads on from its position, and is
 * only woken by a notice, so that a lost wake-up, connection or process loses nothing. However many follow a log, it is
 * read once for all that are at the same position, and many logs are read by one statement.
 *
 *   notice, or a head that moved ─▶ state of the log + 1 ─▶ all who follow it wake ─▶ one read for each position
 */
export class Completions {
  /** The lives of intents, for those who follow them. */
  readonly intents: IntentLives
  readonly #db: Database
  readonly #models = new Wakers()
  readonly #followed = new Followed<bigint>()
  readonly #listeners = new Set<(notice: Notice) => void>()
  readonly #reads = new Together<PageAsked, CompletionPage | null>(async asked => {
    const pages = await readCompletions(this.#db, asked)
    return pages.map(value => ({ status: 'fulfilled', value }))
  }, READ_AT_ONCE)
  readonly #pages = new ResultCache({ maxBytes: MAX_PAGES_BYTES })
  /** Of each log that is followed what is being read of it, last begun: nearly all who are woken ask for that. */
  readonly #reading = new WeakMap<object, Reading>()
  #timer: NodeJS.Timeout | undefined
  #looking = false
  #stopListening: () => void = () => {}

  constructor(db: Database) {
    this.#db = db
    this.intents = new IntentLives(db)
  }

  async start(log: Log): Promise<void> {
    this.#stopListening = await listenForNotices(
      this.#db,
      notice => {
        if (notice.is === 'ended') {
          // So that the next look finds nothing new.
          this.#followed.sawHead(notice.model, notice.position)
          this.#moved(notice.model)
        }
        if (notice.is === 'changed') this.intents.changed(notice.intent)
        for (const listener of this.#listeners) listener(notice)
      },
      () => {
        log.debug('listening for notices')
        for (const model of this.#models.keys) this.#moved(model)
        this.intents.lookAtAll()
      },
    )
    this.#timer = setInterval(() => {
      this.intents.lookAtAll()
      void this.#look()
    }, POLL_MS)
  }

  #moved(model: string): void {
    this.#followed.moved(model)
    this.#models.wake(model)
    this.intents.ended(model)
  }

  /** Finds the logs that have gone on without a word: one question for all of them. */
  async #look(): Promise<void> {
    const models = this.#followed.keys
    if (this.#looking || models.length === 0) return
    this.#looking = true
    try {
      const found = await this.#db.query<{ id: string; completions: bigint }>(
        'SELECT id, completions FROM goal_model WHERE id = ANY($1) AND deleted_at IS NULL',
        [models],
      )
      const heads = new Map(found.map(({ id, completions }) => [id, completions]))
      for (const model of models) if (this.#followed.sawHead(model, heads.get(model) ?? null)) this.#moved(model)
    } catch {
      // While the database is away nothing goes on; when it is back, there is a gap, and all are woken.
    } finally {
      this.#looking = false
    }
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

  /** What comes after `from`, at most `limit`; null where the model is not there. Who asks meanwhile is answered by the next query. */
  read(model: string, from: bigint, limit: number): Promise<CompletionPage | null> {
    return this.#reads.add({ model, from, limit })
  }

  /**
   * The log from `after` on, for ever, in pages of at most `pageSize`. The first page comes at once, perhaps empty; it
   * ends when the model is deleted or the signal aborts, and outlives outages of the database. Who follows at the same
   * position gets the same page.
   */
  async *follow(
    model: string,
    after: bigint,
    pageSize: number,
    signal: AbortSignal,
  ): AsyncGenerator<CompletionPage, void> {
    using log = this.#followed.follow(model)
    using waker = waking([[this.#models, model]], signal)
    let position = after
    const read = () => this.#shared(model, log, position, pageSize)
    for (let first = true; !signal.aborted; first = false) {
      const { page } = await throughOutages(read, signal)
      if (!page) return
      if (first || page.completions.length > 0 || page.reset) yield page
      position = page.position
      if (!page.hasNextPage) await waker.woken()
    }
  }

  /** The page that all have in common who are at this position while the log is in this state. */
  #shared(model: string, { thing, state }: FollowedThing, position: bigint, pageSize: number): Reading['read'] {
    const there = this.#reading.get(thing)
    if (there?.state === state && there.position === position && there.pageSize === pageSize) return there.read
    const read = this.#pages.get(`${model} ${state} ${position} ${pageSize}`, async () => ({
      page: await this.read(model, position, pageSize),
    }))
    const reading = { state, position, pageSize, read }
    this.#reading.set(thing, reading)
    const over = () => {
      if (this.#reading.get(thing) === reading) this.#reading.delete(thing)
    }
    read.then(over, over)
    return read
  }

  /**
   * Holds `look` back until it answers true, or the time is over. True where it did. An outage of the database is waited
   * through: UNAVAILABLE where it outlasts the time.
   */
  async until(model: string, look: () => Promise<boolean>, waitMs: number, signal?: AbortSignal): Promise<boolean> {
    const end = performance.now() + waitMs
    const isOver = () => performance.now() >= end || signal?.aborted === true
    using waker = waking([[this.#models, model]], signal)
    for (;;) {
      const found = await look().catch(error => {
        if (!isUnavailable(error) || isOver()) throw error
        return null
      })
      if (found) return true
      if (found === false && isOver()) return false
      await waker.woken(Math.max(0, Math.min(end - performance.now(), POLL_MS)))
    }
  }

  close(): void {
    clearInterval(this.#timer)
    this.#stopListening()
  }
}
