import { randomUUID } from 'node:crypto'
import type { Engine } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { Archiver } from './archive.ts'
import { Leases, RENEW_SECONDS } from './lease.ts'
import { Ledger } from './ledger.ts'
import { Line } from './line.ts'
import { Fenced, Publisher } from './publish.ts'
import type { Queue } from './queue.ts'
import { letGo } from './retention.ts'

export interface ManagerDeps {
  db: Database
  queue: Queue
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  /** A model without work is let go after this long. */
  idleMs?: number
  /** Told when a model is no longer held, however that came. */
  onReleased?(model: string): void
}

interface Held {
  line: Line
  stopWork: () => Promise<void>
}

/**
 * Holds models: for each the lease, the line, and the worker on its queue. One lease renewal serves all of them, and
 * what is no longer held is dropped at once, without a word to the database (its new owner has the floor).
 */
export class Manager {
  readonly #deps: ManagerDeps
  readonly #leases: Leases
  readonly #publisher: Publisher
  readonly #archiver: Archiver
  readonly #held = new Map<string, Promise<Held | null>>()
  readonly #renewal: NodeJS.Timeout
  #renewing: Promise<void> = Promise.resolve()

  constructor(deps: ManagerDeps) {
    this.#deps = deps
    this.#leases = new Leases(deps.db, randomUUID())
    this.#publisher = new Publisher({
      db: deps.db,
      queue: deps.queue,
      kinds: deps.kinds,
      ledger: new Ledger(deps.db, deps.queue),
    })
    this.#archiver = new Archiver(deps)
    this.#renewal = setInterval(() => {
      this.#renewing = this.#renewing.then(() => this.#renew())
    }, RENEW_SECONDS * 1000)
  }

  get owner(): string {
    return this.#leases.owner
  }

  /** Acquires the model's lease and serves its line; false where another manager has it. */
  async hold(model: string): Promise<boolean> {
    const holding = this.#held.get(model) ?? this.#acquire(model)
    this.#held.set(model, holding)
    try {
      const held = await holding
      if (!held) this.#forget(model)
      return held !== null
    } catch (error) {
      this.#forget(model)
      throw error
    }
  }

  async #acquire(model: string): Promise<Held | null> {
    const epoch = await this.#leases.acquire(model)
    if (epoch === null) return null
    const { log, queue } = this.#deps
    log.info({ model, epoch }, 'model held')
    try {
      const line = await Line.open(
        {
          ...this.#deps,
          publisher: this.#publisher,
          safe: id => this.#leases.safe(id),
          onPublished: id => this.#published(id),
        },
        model,
        epoch,
      )
      const wake = () => line.wake().catch(error => this.#lost(model, error))
      const stopWork = await queue.work(model, wake)
      // What waited before the worker was there needs no job to be found.
      void wake()
      this.#archiver.request(model)
      return { line, stopWork }
    } catch (error) {
      await this.#leases.release(model)
      throw error
    }
  }

  #published(model: string): void {
    this.#archiver.request(model)
    letGo(this.#deps, model).catch(error => this.#deps.log.warn({ model, err: error }, 'old versions were not let go'))
  }

  /** Drops a model that this manager may no longer write. */
  async #lost(model: string, error: unknown): Promise<void> {
    const level = error instanceof Fenced ? 'warn' : 'error'
    this.#deps.log[level]({ model, err: error }, 'model lost')
    await this.release(model)
  }

  async #renew(): Promise<void> {
    try {
      await this.#leases.renew()
      for (const [model, holding] of this.#held) {
        const there = await holding.catch(() => null)
        if (!there) continue
        if (!this.#leases.safe(model)) await this.#lost(model, new Fenced('the lease has ended'))
        else if (this.#isIdle(there)) await this.release(model)
      }
    } catch (error) {
      this.#deps.log.warn({ err: error }, 'leases were not renewed')
    }
  }

  #isIdle({ line }: Held): boolean {
    return !line.busy && performance.now() - line.idleSince > (this.#deps.idleMs ?? 300_000)
  }

  /** Lets the model go: its work under way ends or goes back to the line. */
  async release(model: string): Promise<void> {
    const holding = this.#held.get(model)
    if (!holding) return
    const held = await holding.catch(() => null)
    if (held) {
      await held.stopWork().catch(() => {})
      await held.line.close()
      await this.#leases.release(model).catch(error => this.#deps.log.warn({ model, err: error }, 'lease not released'))
    }
    this.#forget(model)
  }

  #forget(model: string): void {
    if (this.#held.delete(model)) this.#deps.onReleased?.(model)
  }

  /** Ends the process's work: batches under way finish or go back to the line, archives in hand are finished. */
  async close(): Promise<void> {
    clearInterval(this.#renewal)
    await this.#renewing
    await Promise.allSettled([...this.#held.keys()].map(model => this.release(model)))
    await this.#archiver.close()
  }
}
