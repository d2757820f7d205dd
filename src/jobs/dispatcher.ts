import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { hasLost, hasUnarchivedPin } from './chores.ts'
import type { Completions } from './completions.ts'
import type { Launcher, Risk } from './launcher.ts'
import type { Queue } from './queue.ts'

/** How often the dispatcher looks by itself: the bound on what a lost notice costs. */
const LOOK_MS = 2000
/** An intent that waits this long in a held line that does nothing has lost its job. */
const LOST_SECONDS = 10
/** A manager hangs that has no lease for this long; a line whose lease has ended has let go by then. */
const HUNG_SECONDS = 15
/** What nothing but archives is to be done for waits so long until it is held: where a manager has died, its models with work go first. */
const ARCHIVES_MS = 5000
/** A model is troubled for so long after an intent of it was PARKED. */
const TROUBLED_SECONDS = 600

interface Waiting extends Risk {
  id: string
  leased: boolean
  /** Somebody waits for what is to be done, or it has been waited for long enough; for archives nobody does. */
  urgent: boolean
  /** Its oldest intent waits long, and none is under way. */
  stuck: boolean
  oldest: string | null
}

/** Sees that every model with work has a manager running, one that does not hang, and that a lost job is sent again. */
export class Dispatcher {
  readonly #db: Database
  readonly #queue: Queue
  readonly #launcher: Launcher
  readonly #completions: Completions
  readonly #log: Log
  /** Of the kinds that this server knows, by name, as JSON. */
  readonly #shapes: string
  readonly #lostSeconds: number
  readonly #hungSeconds: number
  readonly #archivesMs: number
  /** Since when each model has had work and a manager that is up, and no lease; on the monotonic clock. */
  #unheld: ReadonlyMap<string, number> = new Map()
  /** Since when each model without a lease has had nothing but archives to be made; on the monotonic clock. */
  #archives: ReadonlyMap<string, number> = new Map()
  #stopNotices: () => void = () => {}
  #timer: NodeJS.Timeout | null = null
  #looking: Promise<void> | null = null
  /** What is to be looked at next: these models, or all. */
  #next: Set<string> | 'all' | null = null

  constructor(deps: {
    db: Database
    queue: Queue
    launcher: Launcher
    completions: Completions
    kinds: Kinds
    log: Log
    lostSeconds?: number
    /** A manager that was asked for a model, is up, and has no lease of it for longer than this is killed. */
    hungSeconds?: number
    /** A model that nothing but its archives is to be done for is held for them after this. */
    archivesMs?: number
  }) {
    this.#db = deps.db
    this.#queue = deps.queue
    this.#launcher = deps.launcher
    this.#completions = deps.completions
    this.#log = deps.log
    this.#shapes = JSON.stringify(Object.fromEntries([...deps.kinds.values()].map(({ name, shape }) => [name, shape])))
    this.#lostSeconds = deps.lostSeconds ?? LOST_SECONDS
    this.#hungSeconds = deps.hungSeconds ?? HUNG_SECONDS
    this.#archivesMs = deps.archivesMs ?? ARCHIVES_MS
  }

  start(): void {
    this.#stopNotices = this.#completions.onNotice(notice => {
      if (notice.is === 'work' && !this.#launcher.holds(notice.model)) this.#lookAt(notice.model)
    })
    this.#timer = setInterval(() => this.look(), LOOK_MS)
    this.look()
  }

  /** Looks for models with work and no manager; what is there as it is called is seen. */
  look(): void {
    this.#next = 'all'
    this.#looking ??= this.#lookOn()
  }

  /** A look at all models takes the longer the more there are, and who has just asked for something waits for it. */
  #lookAt(model: string): void {
    if (this.#next !== 'all') this.#next = new Set(this.#next).add(model)
    this.#looking ??= this.#lookOn()
  }

  async #lookOn(): Promise<void> {
    await null
    while (this.#next) {
      const models = this.#next
      this.#next = null
      await this.#look(models).catch(error => {
        this.#log.warn({ err: error }, 'the dispatcher could not look')
        // Managers without the database have no leases either, and need time when it is back.
        this.#unheld = new Map()
      })
    }
    this.#looking = null
  }

  async #look(at: ReadonlySet<string> | 'all'): Promise<void> {
    const waiting = await this.#waiting(at === 'all' ? null : [...at])
    const unheld = waiting.filter(({ leased }) => !leased)
    for (const model of unheld) if (model.urgent) this.#launcher.hold(model.id, model)
    if (at !== 'all') return
    this.#seeArchives(unheld)
    this.#seeHung(unheld)
    for (const { id, leased, stuck, oldest } of waiting)
      if (leased && stuck && oldest !== null) await this.#resend(id, oldest)
  }

  /** Nobody waits for an archive, and what was in none yet has often got work, and is held for that, before its time has come. */
  #seeArchives(unheld: readonly Waiting[]): void {
    const now = performance.now()
    const behind = unheld.filter(({ urgent }) => !urgent)
    this.#archives = new Map(behind.map(({ id }) => [id, this.#archives.get(id) ?? now]))
    for (const model of behind)
      if (now - (this.#archives.get(model.id) ?? now) >= this.#archivesMs) this.#launcher.hold(model.id, model)
  }

  /**
   * A lease tells whether its manager lives. A manager that was asked for a model and has no lease of it, look after
   * look, neither renews nor says what became of it; who was just asked or is starting has its time.
   */
  #seeHung(models: readonly Pick<Waiting, 'id'>[]): void {
    const now = performance.now()
    const unheld = new Map<string, number>()
    for (const { id: model } of models)
      if (this.#launcher.holds(model) && !this.#launcher.isStarting(model))
        unheld.set(model, this.#unheld.get(model) ?? now)
    this.#unheld = unheld
    for (const [model, since] of unheld) if (now - since > this.#hungSeconds * 1000) this.#launcher.giveUp(model)
  }

  /**
   * The models whose intents wait, whose archive is behind (it has to catch up after a stop, too), whose kind has another
   * shape by now, or that have lost versions. One that is blocked and that nobody holds is tried again when it says.
   */
  #waiting(among: readonly string[] | null): Promise<Waiting[]> {
    return this.#db.again<Waiting>(
      `SELECT m.id, l.model IS NOT NULL AS leased, i.id AS oldest, i.id IS NOT NULL OR o.lost OR o.changed OR m.blocked IS NOT NULL AS urgent,
              CASE WHEN i.status = 'RUNNING' AND l.model IS NULL THEN i.solo ELSE 0 END AS deaths,
              l.model IS NULL AND EXISTS (SELECT FROM intent p WHERE p.model = m.id AND p.status = 'PARKED'
                 AND p.ended_at > statement_timestamp() - make_interval(secs => $4)) AS "isTroubled",
              coalesce(i.status = 'QUEUED' AND i.submitted_at < clock_timestamp() - make_interval(secs => $1), false)
                AND m.blocked IS NULL AS stuck
         FROM goal_model m
         LEFT JOIN LATERAL (SELECT id, status, submitted_at, solo FROM intent WHERE model = m.id AND status IN ('QUEUED', 'RUNNING')
                             ORDER BY seq LIMIT 1) i ON true
         LEFT JOIN model_lease l ON l.model = m.id AND l.expires_at > clock_timestamp()
        CROSS JOIN LATERAL (SELECT ${hasLost('m.id')} AS lost, m.version > 0 AND EXISTS (
                 SELECT FROM jsonb_each($2) AS kind (name, shape) WHERE kind.name = m.kind AND kind.shape <> m.shape) AS changed) o
        WHERE m.deleted_at IS NULL AND ($3::text[] IS NULL OR m.id = ANY($3))
          AND (i.id IS NOT NULL OR m.version > m.archived_version OR o.lost OR o.changed OR ${hasUnarchivedPin('m.id')})
          AND (l.model IS NOT NULL OR m.retry_at IS NULL OR m.retry_at < clock_timestamp())`,
      [this.#lostSeconds, this.#shapes, among, TROUBLED_SECONDS],
    )
  }

  async #resend(model: string, intent: string): Promise<void> {
    this.#log.warn({ model, intent }, 'a job was lost; it is sent again')
    await this.#queue.create(model)
    await this.#queue.resend(model, intent)
  }

  async close(): Promise<void> {
    this.#stopNotices()
    if (this.#timer) clearInterval(this.#timer)
    this.#next = null
    await this.#looking
  }
}
