import { ResultCache } from '../engine/result-cache.ts'
import type { Database } from '../platform/postgres.ts'
import { findIntents } from './find-intents.ts'
import { Followed } from './followed.ts'
import { throughOutages } from './outages.ts'
import type { Intent } from './records.ts'
import { Wakers, waking } from './wakers.ts'

/** Intents that those who follow them have in common. */
const MAX_INTENTS_BYTES = 16 << 20

/** An intent as it was in one state of its life. It is shared: nobody may change it. */
export interface IntentMoment {
  intent: Intent
  /** In this process, the same for all who are told of it; another for another moment. */
  key: string
}

type Head = Pick<Intent, 'id' | 'status' | 'progress' | 'step'>

/**
 * The lives of the intents that somebody follows. However many do: what may have changed is looked at in one question for
 * all, and an intent that did change is read once.
 *
 *   notice of the intent or its model, or a second gone ─▶ heads ─▶ one that moved: state + 1 ─▶ its followers wake ─▶ one read
 */
export class IntentLives {
  readonly #db: Database
  readonly #followed = new Followed<string>()
  readonly #followers = new Wakers()
  /** By model: each names the intent that is to be looked at. */
  readonly #models = new Wakers()
  readonly #intents = new ResultCache({ maxBytes: MAX_INTENTS_BYTES })
  readonly #toLookAt = new Set<string>()
  #looking = false

  constructor(db: Database) {
    this.#db = db
  }

  /** Something of this model has ended. */
  ended(model: string): void {
    this.#models.wake(model)
    void this.#look()
  }

  /** This one is at another step. */
  changed(intent: string): void {
    if (this.#followed.isFollowed(intent)) this.#toLookAt.add(intent)
    void this.#look()
  }

  /** What has changed without a word. */
  lookAtAll(): void {
    for (const id of this.#followed.keys) this.#toLookAt.add(id)
    void this.#look()
  }

  async #look(): Promise<void> {
    if (this.#looking) return
    this.#looking = true
    while (this.#toLookAt.size > 0) {
      const ids = [...this.#toLookAt]
      this.#toLookAt.clear()
      // While the database is away nothing goes on; when it is back, all are looked at.
      const found = await this.#heads(ids).catch(() => null)
      for (const id of found ? ids : [])
        if (this.#followed.sawHead(id, found?.get(id) ?? null)) {
          this.#followed.moved(id)
          this.#followers.wake(id)
        }
    }
    this.#looking = false
  }

  async #heads(ids: readonly string[]): Promise<Map<string, string>> {
    const found = await this.#db.query<Head>('SELECT id, status, progress, step FROM intent WHERE id = ANY($1)', [ids])
    return new Map(found.map(intent => [intent.id, headOf(intent)]))
  }

  /** The intent as it is, and at each change of status, progress or step, until it has ended or the signal aborts. */
  async *follow({ id, model }: Pick<Intent, 'id' | 'model'>, signal: AbortSignal): AsyncGenerator<IntentMoment, void> {
    using followed = this.#followed.follow(id)
    using waker = waking([[this.#followers, id]], signal)
    using _ = this.#models.adding(model, () => this.#toLookAt.add(id))
    let seen = ''
    while (!signal.aborted) {
      const { state } = followed
      const { intent } = await throughOutages(() => this.#read(id, state), signal)
      if (!intent) return
      const head = headOf(intent)
      // One that is too large to be kept is read anew, perhaps later than what it is in this state was last seen.
      if (head !== seen) yield { intent, key: `${id} ${state} ${head}` }
      seen = head
      if (intent.endedAt !== null) return
      await waker.woken()
    }
  }

  #read(id: string, state: number): Promise<{ intent: Intent | undefined }> {
    return this.#intents.get(`${id} ${state}`, async () => ({ intent: (await findIntents(this.#db, [id]))[0] }))
  }
}

const headOf = ({ status, progress, step }: Head): string => JSON.stringify([status, progress, step])
