import type { Engine } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { span } from '../platform/telemetry/index.ts'
import { KEPT_ARCHIVES, letArchivesGo, sweepStore } from './archive-retention.ts'
import { archiveVersion, findToArchive, type ToArchive } from './archive-version.ts'
import { OpenVersions } from './open-versions.ts'
import { Pauses } from './pauses.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  /** How many archives of a model are kept. */
  archives?: number | undefined
  /** Between two archives of a model: at least `ms`, and so much that they take one part in `times` + 1 of the time. */
  archiveRest?: { ms: number; times: number } | undefined
  /** Whether no other manager can have taken the model yet. */
  safe(model: string): boolean
  /** How long an archive waits, from its request, for those who wait for models: as long as this is above 0, they have the machine to themselves. */
  patienceMs(): number
}

/** Between two looks whether it is still above 0. */
const LOOK_MS = 100
/** A tenth of the time for archives. */
const REST = { ms: 1000, times: 9 }
/** So many models at once: one that is large, or whose store is slow, holds up no other. */
const PLACES = 2

/**
 * Brings the newest versions of the models that a manager holds into the archive, and those that are pinned, and lets older
 * archives go; all behind the scenes: publishing never waits for the store. While one is archived, and while a model rests from that, those published meanwhile become one
 * next archive; a model whose archive fails holds up no other.
 */
export class Archiver {
  readonly #deps: Deps
  /** Models whose newest version is not in the archive yet, with the epochs that they are held in, and since when. */
  readonly #behind = new Map<string, { epoch: number; since: number }>()
  /** Models that are left alone: they rest, or their archive has failed. */
  readonly #pauses = new Pauses<string>()
  readonly #versions: OpenVersions
  /** Models whose folders in the store hold nothing that a broken off archive has left. */
  readonly #swept = new Set<string>()
  readonly #stop = new AbortController()
  /** What is under way, by model. */
  readonly #running = new Map<string, Promise<void>>()
  #alarm: NodeJS.Timeout | undefined

  constructor(deps: Deps) {
    this.#deps = deps
    // Nobody else reads here: what is archived is closed at once.
    this.#versions = new OpenVersions({ ...deps, idleMs: 0 })
  }

  /** Sees to it that the newest version of a model that is held in `epoch` comes to be archived. */
  request(model: string, epoch: number): void {
    if (this.#stop.signal.aborted) return
    this.#fallBehind(model, epoch)
    this.#begin()
  }

  #fallBehind(model: string, epoch: number): void {
    this.#behind.set(model, { epoch, since: this.#behind.get(model)?.since ?? performance.now() })
  }

  /** Whether there is something to be done yet for the model. */
  isBehind(model: string): boolean {
    return this.#running.has(model) || this.#behind.has(model)
  }

  /** The model is no longer held: its next manager sees to it. */
  forget(model: string): void {
    this.#behind.delete(model)
    this.#pauses.clear(model)
    this.#swept.delete(model)
  }

  /** Begins as many as there are places for; each that ends begins the next. */
  #begin(): void {
    clearTimeout(this.#alarm)
    if (this.#stop.signal.aborted) return
    for (let next = this.#next(); next && this.#running.size < PLACES; next = this.#next()) {
      const { model, epoch } = next
      // What is published from here on is requested anew.
      this.#behind.delete(model)
      const run = this.#attempt(model, epoch).finally(() => {
        this.#running.delete(model)
        this.#begin()
      })
      this.#running.set(model, run)
    }
    this.#setAlarm()
  }

  /** The one that was asked for first, is not under way, and is not left alone. */
  #next(): { model: string; epoch: number } | undefined {
    const now = performance.now()
    return this.#waiting().find(({ until }) => until <= now)
  }

  /** Until when each is left alone: it rests, or waits for those who wait. */
  #waiting(): { model: string; epoch: number; until: number }[] {
    const lateMs = this.#deps.patienceMs()
    return [...this.#behind].flatMap(([model, { epoch, since }]) =>
      this.#running.has(model) ? [] : [{ model, epoch, until: Math.max(this.#pauses.until(model), since + lateMs) }],
    )
  }

  #setAlarm(): void {
    const waiting = this.#waiting()
    // Where there is no place, who ends begins the next.
    if (waiting.length === 0 || this.#running.size === PLACES) return
    const next = Math.min(...waiting.map(({ until }) => until)) - performance.now()
    const look = this.#deps.patienceMs() > 0 ? Math.min(next, LOOK_MS) : next
    this.#alarm = setTimeout(() => this.#begin(), Math.max(1, look)).unref()
  }

  async #attempt(model: string, epoch: number): Promise<void> {
    const started = performance.now()
    try {
      await this.#archive(model, epoch)
      const { ms, times } = this.#deps.archiveRest ?? REST
      this.#pauses.rest(model, Math.max(ms, times * (performance.now() - started)))
    } catch (error) {
      if (this.#stop.signal.aborted) return
      this.#deps.log.warn({ model, err: error }, 'the archive is behind; it is tried again')
      this.#swept.delete(model)
      this.#pauses.failed(model)
      if (!this.#behind.has(model)) this.#fallBehind(model, epoch)
    }
  }

  async #archive(model: string, epoch: number): Promise<void> {
    const { db, archives: keep = KEPT_ARCHIVES } = this.#deps
    const version = await findToArchive(db, model, epoch)
    if (version) await this.#archiveVersion(version, epoch)
    await letArchivesGo(this.#deps, { model, epoch, keep })
    if (!this.#swept.has(model) && (await sweepStore(this.#deps, model))) this.#swept.add(model)
    // A pinned one, or the newest as it is by now: after the rest, so that all models have their turn.
    if (version && (await findToArchive(db, model, epoch))) this.#fallBehind(model, epoch)
  }

  async #archiveVersion(version: ToArchive, epoch: number): Promise<void> {
    const kind = this.#deps.kinds.get(version.kind)
    if (!kind) throw new Error(`kind ${version.kind} is not known`)
    const attributes = { 'teatree.model': version.model, 'teatree.version': version.version }
    await span('archive', { parent: version.traceparent, attributes }, async () => {
      const { reader, release } = await this.#versions.open(version)
      try {
        await archiveVersion(this.#deps, { version, kind, reader, epoch, signal: this.#stop.signal })
      } finally {
        release()
      }
    })
  }

  /** Stops what is under way: the next manager begins it anew. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the manager stops'))
    clearTimeout(this.#alarm)
    await Promise.all(this.#running.values())
    await this.#versions.close()
  }
}
