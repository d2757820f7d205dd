import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../platform/embedded-postgres.ts'
import { UsageError } from '../platform/errors.ts'
import { createLog } from '../platform/log.ts'
import { becomeSoleOwner, type Owner } from '../platform/sole-owner.ts'

const RETRY_MS = 1000

/**
 * The PostgreSQL in the data directory, for this process alone. Where it dies under us (kill -9, no memory) it is started
 * again where it was, so that every connection, here and in the managers, comes back by itself:
 *
 *     owner's connection ends ─▶ revive the server ─▶ own it again ─▶ …
 *                                 │ fails: tried again │ it is another process's: `gone`
 */
export class OwnDatabase {
  readonly url: string
  /** Rejects with a UsageError once the database is another process's: this one has to end. */
  readonly gone: Promise<never>
  readonly #postgres: EmbeddedPostgres
  readonly #log = createLog({ name: 'postgres' })
  readonly #closing = new AbortController()
  readonly #keeping: Promise<void>
  /** Null once another process is. */
  #owner: Owner | null

  /** UsageError where another process is its owner, or it cannot run. */
  static async open(dataDir: string): Promise<OwnDatabase> {
    const log = createLog({ name: 'postgres' })
    const postgres = await startEmbeddedPostgres({ dir: join(dataDir, 'postgres'), log: line => log.info(line) })
    const owner = await becomeSoleOwner(postgres.url)
    if (!owner) throw anotherOwner(dataDir) // and the server is the other's, which must go on running
    return new OwnDatabase(dataDir, postgres, owner)
  }

  private constructor(dataDir: string, postgres: EmbeddedPostgres, owner: Owner) {
    this.url = postgres.url
    this.#postgres = postgres
    this.#owner = owner
    const { promise, reject } = Promise.withResolvers<never>()
    promise.catch(() => {}) // nobody may be waiting for it
    this.gone = promise
    this.#keeping = this.#keep(() => reject(anotherOwner(dataDir)))
  }

  async #keep(giveUp: () => void): Promise<void> {
    const { signal } = this.#closing
    while (this.#owner) {
      await this.#owner.lost
      if (signal.aborted) return
      this.#log.warn('the connection to PostgreSQL ended; it is started again where it runs no longer')
      let owner: Owner | null | undefined
      while (owner === undefined && !signal.aborted)
        owner = await this.#ownAgain().catch(async error => {
          this.#log.warn({ err: error }, 'PostgreSQL is away; tried again')
          await wait(RETRY_MS, undefined, { signal }).catch(() => {})
          return undefined
        })
      if (owner !== undefined) this.#owner = owner
    }
    giveUp()
  }

  /** Null where another process has the server by now. */
  async #ownAgain(): Promise<Owner | null> {
    return (await this.#postgres.revive()) ? becomeSoleOwner(this.url) : null
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#owner?.close()
    await this.#keeping
    if (!this.#owner) return
    await this.#owner.close() // it may be a new one
    await this.#postgres.stop()
  }
}

const anotherOwner = (dataDir: string): UsageError =>
  new UsageError(`another teatree serve runs on ${dataDir}; stop it, or choose another TEATREE_DATA_DIR`)
