import { randomUUID } from 'node:crypto'
import type { Engine } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { Archiver } from './archive.ts'
import { markBlocked } from './blocked.ts'
import { listenForNotices } from './channel.ts'
import { findChores } from './chores.ts'
import { Keeper } from './keeper.ts'
import { Leases, RENEW_SECONDS, RENEWALS } from './lease.ts'
import { Ledger } from './ledger.ts'
import { Line } from './line.ts'
import type { Apart } from './messages.ts'
import { EpochSpent, Fenced, Publisher } from './publish.ts'
import type { Queue } from './queue.ts'

export interface ManagerDeps {
  db: Database
  /** Over which leases are renewed; see openRenewals. `db` where left out. */
  renewals?: Database
  queue: Queue
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  /** See LetGoDeps. */
  pagedDisk: number
  log: Log
  /** How many archives of a model are kept. */
  archives?: number
  /** Between two archives of a model. */
  archiveRest?: { ms: number; times: number }
  /** So long at most an archive waits while lines are at work. */
  archiveLateMs?: number
  /** A model without work is let go after this long, */
  idleMs?: number
  /** and so many are not: of more, those that have been without it the longest are let go. Each has its database open. */
  mostIdle?: number
  /** Told when a model that was held is held no longer, however that came. */
  onReleased?(model: string): void
}

/** Between two tries of a model whose line cannot be opened. */
const RETRY_MS = 10_000
const IDLE_MS = 300_000
const MOST_IDLE = 32
/** Of one that is kept apart: its process is not to stay for nothing, nor to be started for each intent of somebody who looks at it. */
const APART_IDLE_MS = 30_000
/** So long those who wait for a version have the machine to themselves, before what is done behind it is begun. */
const BEHIND_MS = 250
/** Who has got what he waited for asks for more within this, if at all. */
const JUST_NOW_MS = 200
/** What is in no archive yet is in the ledger: that takes longer to be applied again, and is no less safe. */
const ARCHIVE_LATE_MS = 30_000
/** While models wake up, and between versions that come one after the other. */
const ARCHIVE_SOON_MS = 2000

interface Held {
  epoch: number
  line: Line
  stopWork: () => Promise<void>
}

/** From the moment that a model is asked for until it is released; `held` once its line is open. */
interface Holding {
  opening: Promise<Held | null>
  apart: Apart | null
  held: Held | null
  releasing: Promise<void> | null
}

/**
 * Holds models: for each the lease, the line, and the worker on its queue. One lease renewal serves all of them, and
 * what is no longer held is dropped at once, without a word to the database (its new owner has the floor).
 *
 *   hold ─▶ lease ─▶ line ─▶ worker ─▶ held ─ idle, lost, closing ─▶ releasing ─▶ onReleased
 */
export class Manager {
  readonly #deps: ManagerDeps
  readonly #leases: Leases
  readonly #publisher: Publisher
  readonly #archiver: Archiver
  readonly #keeper: Keeper
  readonly #holdings = new Map<string, Holding>()
  readonly #renewal: NodeJS.Timeout
  /** Models with versions that may have been held by somebody as the newest was published. */
  readonly #published = new Set<string>()
  /** When the last version was, of any model; on the monotonic clock. */
  #publishedAt = Number.NEGATIVE_INFINITY
  /** By model: goes off when what is done behind its newest versions is to begin. */
  readonly #behind = new Map<string, NodeJS.Timeout>()
  /**
   * A notice is there long before the job that says the same is fetched. Where it is lost, what waits is found with the chores:
   * pg-boss tells nobody of a job that starts later, and may itself look only every 30 seconds.
   */
  readonly #stopNotices: Promise<() => void>
  readonly #renewing = new Set<Promise<void>>()
  #seeing: Promise<void> | null = null
  readonly #closing = new AbortController()

  constructor(deps: ManagerDeps) {
    this.#deps = deps
    this.#leases = new Leases(deps.db, randomUUID(), deps.renewals)
    this.#publisher = new Publisher({
      db: deps.db,
      queue: deps.queue,
      kinds: deps.kinds,
      ledger: new Ledger(deps.db, deps.queue),
    })
    this.#archiver = new Archiver({
      ...deps,
      safe: model => this.#leases.safe(model),
      patienceMs: () => this.#patienceMs(),
    })
    // Archives are kept for versions that might be made again from them.
    this.#keeper = new Keeper({ ...deps, onGone: model => this.#archive(model) })
    this.#stopNotices = listenForNotices(
      deps.db,
      notice => notice.is === 'work' && this.#wake(notice.model),
      // What was told meanwhile was told to nobody.
      () => {
        for (const model of this.#holdings.keys()) this.#wake(model)
      },
    )
    this.#renewal = setInterval(() => {
      if (this.#renewing.size < RENEWALS) {
        const renewing = this.#renew().finally(() => this.#renewing.delete(renewing))
        this.#renewing.add(renewing)
      }
      this.#seeing ??= this.#see().finally(() => {
        this.#seeing = null
      })
    }, RENEW_SECONDS * 1000)
  }

  get owner(): string {
    return this.#leases.owner
  }

  /**
   * Acquires the model's lease and serves its line; false where another manager has it, or this one is closing. `apart`: only
   * for as long as it is to be kept from others.
   */
  async hold(model: string, apart: Apart | null = null): Promise<boolean> {
    await this.#holdings.get(model)?.releasing
    if (this.#closing.signal.aborted) return false
    const holding = this.#holdings.get(model) ?? this.#begin(model, apart)
    return (await holding.opening) !== null
  }

  #begin(model: string, apart: Apart | null): Holding {
    const holding: Holding = { opening: this.#acquire(model), apart, held: null, releasing: null }
    this.#holdings.set(model, holding)
    holding.opening.then(
      held => {
        holding.held = held
        if (!held) this.#holdings.delete(model)
        else if (!held.line.hasSuspects) this.#cleared(model)
      },
      () => this.#holdings.delete(model),
    )
    return holding
  }

  async #acquire(model: string): Promise<Held | null> {
    const epoch = await this.#leases.acquire(model)
    if (epoch === null) return null
    this.#deps.log.info({ model, epoch }, 'model held')
    try {
      return await this.#serve(model, epoch)
    } catch (error) {
      const { db, log } = this.#deps
      await markBlocked(db, { model, epoch, error, retryMs: RETRY_MS }).catch(failure =>
        log.warn({ model, err: failure }, 'that the model is blocked could not be written down'),
      )
      await this.#releaseLease(model)
      throw error
    }
  }

  async #serve(model: string, epoch: number): Promise<Held> {
    const line = await Line.open(
      {
        ...this.#deps,
        publisher: this.#publisher,
        safe: id => this.#leases.safe(id),
        onPublished: id => this.#onPublished(id, epoch),
        onCleared: id => this.#cleared(id),
      },
      model,
      epoch,
    )
    const wake = () => line.wake().catch(error => this.#lost(model, error))
    // What waits already needs no job to be found, and does not wait for who fetches them.
    void wake()
    const stopWork = await this.#deps.queue.work(model, wake).catch(async error => {
      await line.close(this.#closing.signal)
      throw error
    })
    // What came in between was told to nobody.
    void wake()
    this.#archiver.request(model, epoch)
    return { epoch, line, stopWork }
  }

  #wake(model: string): void {
    const holding = this.#holdings.get(model)
    if (!holding?.held || holding.releasing) return
    holding.held.line.wake().catch(error => this.#lost(model, error))
  }

  /** Of archives: while lines are at work; and a little while models wake up, or a moment after a version: who comes next is often he himself. */
  #patienceMs(): number {
    const held = [...this.#holdings.values()]
    if (held.some(({ held }) => held?.line.isAtWork)) return this.#deps.archiveLateMs ?? ARCHIVE_LATE_MS
    const isSoon = performance.now() - this.#publishedAt < JUST_NOW_MS || held.some(({ held }) => !held)
    return isSoon ? ARCHIVE_SOON_MS : 0
  }

  #onPublished(model: string, epoch: number): void {
    this.#published.add(model)
    this.#publishedAt = performance.now()
    if (this.#behind.has(model)) return
    const begin = () => {
      this.#behind.delete(model)
      if (this.#holdings.get(model)?.held?.epoch === epoch) this.#archive(model)
      this.#keeper.request(model)
    }
    this.#behind.set(model, setTimeout(begin, BEHIND_MS))
  }

  /** Other managers have room for a suspect that is none any more. */
  #cleared(model: string): void {
    const holding = this.#holdings.get(model)
    if (holding?.held && holding.apart === 'suspect') void this.release(model)
  }

  #archive(model: string): void {
    const holding = this.#holdings.get(model)
    if (holding?.held && !holding.releasing) this.#archiver.request(model, holding.held.epoch)
  }

  /** What was held as the last version was published, by readers or by the archive, is not by now. */
  #letGoLater(): void {
    for (const model of this.#published) {
      this.#keeper.request(model)
      if (!this.#archiver.isBehind(model)) this.#published.delete(model)
    }
  }

  /** Drops a model that this manager may no longer write. */
  #lost(model: string, error: unknown): Promise<void> {
    const level = error instanceof Fenced ? 'warn' : 'error'
    this.#deps.log[level]({ model, err: error }, 'model lost')
    return this.#end(model, error instanceof EpochSpent)
  }

  /** No release is waited for here: the other leases would end over it. */
  async #renew(): Promise<void> {
    try {
      const leased = await this.#leases.renew()
      for (const [model, { held, releasing }] of this.#holdings) {
        if (!held || releasing) continue
        if (!leased.has(model)) void this.#lost(model, new Fenced('the lease has ended'))
      }
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'leases were not renewed')
    }
  }

  async #see(): Promise<void> {
    try {
      this.#letGoLater()
      this.#letIdleGo()
      await this.#seeToChores()
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'chores were not seen to')
    }
  }

  /** What is asked of the models that are held, and comes over no queue; and what waits, where nothing has told of it. */
  async #seeToChores(): Promise<void> {
    const held = this.#holdings.entries().flatMap(([model, { held, releasing }]) => (held && !releasing ? [model] : []))
    const models = [...held]
    if (models.length === 0) return
    for (const { model, waits, lost, pinned } of await findChores(this.#deps.db, models)) {
      const holding = this.#holdings.get(model)
      if (!holding?.held || holding.releasing) continue
      if (waits && !holding.held.line.busy) this.#wake(model)
      if (lost) holding.held.line.wakeForLost().catch(error => this.#lost(model, error))
      if (pinned) this.#archiver.request(model, holding.held.epoch)
    }
  }

  #letIdleGo(): void {
    const { idleMs = IDLE_MS, mostIdle = MOST_IDLE } = this.#deps
    const idle: { model: string; since: number; most: number }[] = []
    for (const [model, { held, releasing, apart }] of this.#holdings) {
      if (!held || releasing || held.line.busy || this.#behind.has(model) || this.#archiver.isBehind(model)) continue
      idle.push({ model, since: held.line.idleSince, most: apart ? Math.min(idleMs, APART_IDLE_MS) : idleMs })
    }
    idle.sort((a, b) => b.since - a.since)
    for (const [place, { model, since, most }] of idle.entries())
      if (place >= mostIdle || performance.now() - since > most) void this.release(model)
  }

  /** Lets the model go: its work under way ends or goes back to the line. Once however often it is called; never rejects. */
  release(model: string): Promise<void> {
    return this.#end(model, false)
  }

  /** `again`: the model goes on here, in an epoch of its own. */
  #end(model: string, again: boolean): Promise<void> {
    const holding = this.#holdings.get(model)
    if (!holding) return Promise.resolve()
    holding.releasing ??= this.#release(model, holding, again)
    return holding.releasing
  }

  async #release(model: string, { opening, apart }: Holding, again: boolean): Promise<void> {
    const held = await opening.catch(() => null)
    if (!held) return
    const { log, onReleased } = this.#deps
    try {
      this.#archiver.forget(model)
      await held.stopWork()
      await held.line.close(this.#closing.signal)
    } catch (error) {
      log.warn({ model, err: error }, 'the line was not closed as it should be')
    }
    if (again && !this.#closing.signal.aborted && (await this.#begin(model, apart).opening.catch(() => null))) return
    await this.#releaseLease(model)
    this.#holdings.delete(model)
    onReleased?.(model)
  }

  /** One that is not released ends by itself. */
  async #releaseLease(model: string): Promise<void> {
    await this.#leases
      .release(model)
      .catch(error => this.#deps.log.warn({ model, err: error }, 'a lease was not released'))
  }

  /** Ends the process's work: batches under way finish or go back to the line, archives in hand are left to the next. */
  async close(): Promise<void> {
    this.#closing.abort()
    clearInterval(this.#renewal)
    ;(await this.#stopNotices)()
    await Promise.all([...this.#holdings.keys()].map(model => this.release(model)))
    // What their next managers archive, these begin; but nobody else may come to let the versions go.
    for (const [model, timer] of this.#behind) {
      clearTimeout(timer)
      this.#keeper.request(model)
    }
    await this.#archiver.close()
    await this.#keeper.close()
    await Promise.all([...this.#renewing, this.#seeing])
  }
}
