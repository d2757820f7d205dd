import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { type LogLimits, removeCompletions } from './completion-pages.ts'
import { clearStore, removeDeleted } from './deleted-models.ts'
import { Keeper } from './keeper.ts'
import { modelsToLetGo, removeStrays } from './let-go.ts'
import { removeAbandoned, removeOlder, removeUploads } from './retention.ts'
import { removeResults } from './stored-results.ts'

const DELETED_MS = 2000
const STORE_MS = 60_000
const LET_GO_MS = 2000
const STRAYS_MS = 10 * 60_000
const RESULTS_MS = 60_000
const COMPLETIONS_MS = 60_000
const UPLOADS_MS = 10 * 60_000
/** So long an upload may wait for the intent that imports it, or for the retry of one that failed. */
const UPLOAD_SECONDS = 24 * 60 * 60

export interface HousekeeperDeps {
  db: Database
  objects: ObjectStore
  dataDir: string
  /** See LetGoDeps. */
  pagedDisk: number
  completions: LogLimits
  /** Where queries write, and after how many seconds what nobody writes to there is a dead process's. */
  queries: { folder: string; seconds: number }
  log: Log
}

/** Removes from time to time what nobody will ask for again. Any number of them may be at it. */
export class Housekeeper {
  readonly #deps: HousekeeperDeps
  readonly #keeper: Keeper
  readonly #timers: NodeJS.Timeout[] = []
  /** What is under way, by what it is about. */
  readonly #running = new Map<string, Promise<void>>()

  constructor(deps: HousekeeperDeps) {
    this.#deps = deps
    this.#keeper = new Keeper(deps)
  }

  start(): void {
    this.#every(DELETED_MS, 'the files of deleted models', () => removeDeleted(this.#deps))
    this.#every(STORE_MS, 'what the store holds of deleted models', () => clearStore(this.#deps))
    // A manager does so when it publishes; this is for versions whose time runs out, or whose reader dies, meanwhile.
    this.#every(LET_GO_MS, 'old versions', () => this.#letGo())
    this.#every(STRAYS_MS, 'files of versions that were let go', () => removeStrays(this.#deps))
    this.#every(STRAYS_MS, 'what killed managers have left', () => removeAbandoned(this.#deps))
    const { folder, seconds } = this.#deps.queries
    this.#every(STRAYS_MS, 'what killed processes have left of queries', () => removeOlder(folder, seconds))
    this.#every(RESULTS_MS, 'results of query runs', () => removeResults(this.#deps))
    this.#every(COMPLETIONS_MS, 'old completions', () => removeCompletions(this.#deps.db, this.#deps.completions))
    this.#every(UPLOADS_MS, 'uploads that nobody asks for', () => removeUploads(this.#deps, UPLOAD_SECONDS))
  }

  async #letGo(): Promise<void> {
    for (const model of await modelsToLetGo(this.#deps.db)) this.#keeper.request(model)
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
    await this.#keeper.close()
  }
}
