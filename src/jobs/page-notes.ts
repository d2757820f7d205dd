import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { PAGE_NOTE_SECONDS } from './let-go.ts'
import type { OpenVersions } from './open-versions.ts'
import { throughOutages } from './outages.ts'
import type { Version } from './records.ts'

/**
 * Notes down from which versions somebody pages, of each at most twice a minute: they are kept for a while. The reader
 * does not wait for it, and the version is held until it is written down.
 */
export class PageNotes {
  readonly #db: Database
  readonly #versions: OpenVersions
  readonly #log: Log
  readonly #now: () => number
  /** When each was noted last. */
  readonly #noted = new Map<string, number>()
  readonly #underway = new Set<Promise<void>>()
  readonly #stop = new AbortController()

  constructor(deps: { db: Database; versions: OpenVersions; log: Log; now?: () => number }) {
    this.#db = deps.db
    this.#versions = deps.versions
    this.#log = deps.log
    this.#now = deps.now ?? (() => performance.now())
  }

  /** A page that has a next one was read from the version, which the caller holds. */
  add(version: Version): void {
    const key = `${version.model}@${version.version}`
    const now = this.#now()
    if (this.#stop.signal.aborted || now - (this.#noted.get(key) ?? Number.NEGATIVE_INFINITY) < EVERY_MS) return
    // In the order of their times: those that say nothing any more are in front.
    this.#noted.delete(key)
    this.#noted.set(key, now)
    for (const [old, at] of this.#noted) {
      if (now - at < EVERY_MS) break
      this.#noted.delete(old)
    }
    const noting = this.#note(version)
      .catch(error => {
        this.#noted.delete(key)
        this.#log.warn({ model: version.model, version: version.version, err: error }, 'a page was not noted down')
      })
      .finally(() => this.#underway.delete(noting))
    this.#underway.add(noting)
  }

  async #note(version: Version): Promise<void> {
    const open = await this.#versions.open(version)
    try {
      const write = () =>
        this.#db.query(
          'UPDATE model_version SET paged_at = clock_timestamp() WHERE model = $1 AND version = $2 AND kept',
          [version.model, version.version],
        )
      await throughOutages(write, this.#stop.signal)
    } finally {
      open.release()
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the server stops'))
    await Promise.all(this.#underway)
  }
}

const EVERY_MS = PAGE_NOTE_SECONDS * 1000
