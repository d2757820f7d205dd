import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { removeDeleted, removeUploads } from './retention.ts'

const DELETED_MS = 2000
const UPLOADS_MS = 10 * 60_000
/** So long an upload may wait for the intent that imports it, or for the retry of one that failed. */
const UPLOAD_SECONDS = 24 * 60 * 60

/** Removes from time to time what nobody will ask for again. Any number of them may be at it. */
export class Housekeeper {
  readonly #deps: { db: Database; objects: ObjectStore; dataDir: string; log: Log }
  readonly #timers: NodeJS.Timeout[] = []
  /** What is under way, by what it is about. */
  readonly #running = new Map<string, Promise<void>>()

  constructor(deps: { db: Database; objects: ObjectStore; dataDir: string; log: Log }) {
    this.#deps = deps
  }

  start(): void {
    this.#every(DELETED_MS, 'the files of deleted models', () => removeDeleted(this.#deps))
    this.#every(UPLOADS_MS, 'uploads that nobody asks for', () => removeUploads(this.#deps, UPLOAD_SECONDS))
  }

  #every(ms: number, what: string, remove: () => Promise<void>): void {
    const run = () => {
      if (this.#running.has(what)) return
      const removal = remove()
        .catch(error => this.#deps.log.warn({ err: error }, `${what} were not removed`))
        .finally(() => this.#running.delete(what))
      this.#running.set(what, removal)
    }
    this.#timers.push(setInterval(run, ms))
    run()
  }

  async close(): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer)
    await Promise.all(this.#running.values())
  }
}
