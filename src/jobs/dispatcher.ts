import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import type { Completions } from './completions.ts'
import type { Launcher } from './launcher.ts'
import type { Queue } from './queue.ts'
import { removeDeleted } from './retention.ts'

/** How often the dispatcher looks by itself: the bound on what a lost notice costs. */
const LOOK_MS = 2000
/** An intent that waits this long in a held line that does nothing has lost its job. */
const LOST_SECONDS = 10

interface Waiting {
  id: string
  leased: boolean
  /** Its oldest intent waits long, and none is under way. */
  stuck: boolean
  oldest: string
}

/** Sees that every model with work has a manager running, and that a lost job is sent again. */
export class Dispatcher {
  readonly #db: Database
  readonly #queue: Queue
  readonly #launcher: Launcher
  readonly #completions: Completions
  readonly #dataDir: string
  readonly #log: Log
  #stopNotices: () => void = () => {}
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null

  constructor(deps: {
    db: Database
    queue: Queue
    launcher: Launcher
    completions: Completions
    dataDir: string
    log: Log
  }) {
    this.#db = deps.db
    this.#queue = deps.queue
    this.#launcher = deps.launcher
    this.#completions = deps.completions
    this.#dataDir = deps.dataDir
    this.#log = deps.log
  }

  start(): void {
    this.#stopNotices = this.#completions.onNotice(notice => {
      if (notice.is === 'work') this.#launcher.hold(notice.model)
    })
    this.#timer = setInterval(() => this.look(), LOOK_MS)
    this.look()
  }

  /** Looks for models with work and no manager. */
  look(): void {
    this.#looking ??= this.#look()
      .catch(error => this.#log.warn({ err: error }, 'the dispatcher could not look'))
      .finally(() => {
        this.#looking = null
      })
  }

  async #look(): Promise<void> {
    const waiting = await this.#db.query<Waiting>(
      `SELECT m.id, l.model IS NOT NULL AS leased, i.id AS oldest,
              i.status = 'QUEUED' AND i.submitted_at < clock_timestamp() - make_interval(secs => $1) AND m.blocked IS NULL AS stuck
         FROM goal_model m
         JOIN LATERAL (SELECT id, status, submitted_at FROM intent WHERE model = m.id AND status IN ('QUEUED', 'RUNNING')
                        ORDER BY seq LIMIT 1) i ON true
         LEFT JOIN model_lease l ON l.model = m.id AND l.expires_at > clock_timestamp()
        WHERE m.deleted_at IS NULL`,
      [LOST_SECONDS],
    )
    for (const model of waiting) {
      if (!model.leased) this.#launcher.hold(model.id)
      else if (model.stuck) await this.#resend(model)
    }
    await removeDeleted({ db: this.#db, dataDir: this.#dataDir })
  }

  async #resend({ id, oldest }: Waiting): Promise<void> {
    this.#log.warn({ model: id, intent: oldest }, 'a job was lost; it is sent again')
    await this.#queue.create(id)
    await this.#queue.resend(id, oldest)
  }

  async close(): Promise<void> {
    this.#stopNotices()
    if (this.#timer) clearInterval(this.#timer)
    await this.#looking
  }
}
