import type { Engine, Readers } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { span } from '../platform/telemetry/index.ts'
import { archiveVersion, findToArchive } from './archive-version.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
}

/** A model whose newest version is not in the archive yet. */
interface Behind {
  /** Of the manager that holds it. */
  epoch: number
  failures: number
  /** Set while it waits for its next try. */
  retry: NodeJS.Timeout | null
}

/** Between two tries of a model whose archive failed: at first, and doubled from then on up to the second. */
const RETRY_MS = { first: 1000, most: 60_000 }

/**
 * Brings the newest versions of the models that a manager holds into the archive, behind the scenes: publishing never
 * waits for the store. While one is archived, those published meanwhile become one next archive; a model whose archive
 * fails holds up no other.
 */
export class Archiver {
  readonly #deps: Deps
  readonly #behind = new Map<string, Behind>()
  readonly #readers = new Map<string, Promise<Readers>>()
  readonly #stop = new AbortController()
  #current: string | null = null
  #run: Promise<void> | null = null

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Sees to it that the newest version of a model that is held in `epoch` comes to be archived. */
  request(model: string, epoch: number): void {
    if (this.#stop.signal.aborted) return
    const behind = this.#behind.get(model)
    if (behind?.epoch === epoch) return
    this.forget(model)
    this.#behind.set(model, { epoch, failures: 0, retry: null })
    this.#go()
  }

  /** Whether there is something to be done yet for the model. */
  isBehind(model: string): boolean {
    return this.#current === model || this.#behind.has(model)
  }

  /** The model is no longer held: its next manager sees to it. */
  forget(model: string): void {
    const retry = this.#behind.get(model)?.retry
    if (retry) clearTimeout(retry)
    this.#behind.delete(model)
  }

  #go(): void {
    this.#run ??= this.#drain()
  }

  async #drain(): Promise<void> {
    await null
    try {
      for (let next = this.#next(); next && !this.#stop.signal.aborted; next = this.#next()) {
        const [model, behind] = next
        // What is published from here on is requested anew.
        this.#behind.delete(model)
        this.#current = model
        try {
          await this.#archive(model, behind.epoch)
        } catch (error) {
          this.#tryAgain(model, behind, error)
        }
        this.#current = null
      }
    } finally {
      this.#run = null
    }
  }

  /** The one that was asked for first and is not waiting for its next try. */
  #next(): [string, Behind] | undefined {
    return this.#behind.entries().find(([, { retry }]) => retry === null)
  }

  #tryAgain(model: string, { epoch, failures }: Behind, error: unknown): void {
    if (this.#stop.signal.aborted) return
    this.#deps.log.warn({ model, err: error }, 'the archive is behind; it is tried again')
    // One request may have come meanwhile; it waits like this one.
    const behind: Behind = { epoch: this.#behind.get(model)?.epoch ?? epoch, failures: failures + 1, retry: null }
    behind.retry = setTimeout(
      () => {
        behind.retry = null
        this.#go()
      },
      Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most),
    ).unref()
    this.#behind.set(model, behind)
  }

  async #archive(model: string, epoch: number): Promise<void> {
    const { db, engines, kinds } = this.#deps
    const version = await findToArchive(db, model, epoch)
    if (!version) return
    const kind = kinds.get(version.kind)
    const engine = engines.get(version.engine)
    if (!kind || !engine) throw new Error(`kind ${version.kind} on ${version.engine} is not known`)
    const attributes = { 'teatree.model': model, 'teatree.version': version.version }
    await span('archive', { parent: version.traceparent, attributes }, async () => {
      const readers = await this.#readersOf(engine)
      await archiveVersion(this.#deps, { version, kind, readers, epoch, signal: this.#stop.signal })
    })
  }

  #readersOf(engine: Engine): Promise<Readers> {
    const there = this.#readers.get(engine.name)
    if (there) return there
    const opening = engine.openReaders()
    this.#readers.set(engine.name, opening)
    opening.catch(() => this.#readers.delete(engine.name))
    return opening
  }

  /** Stops what is under way: the next manager begins it anew. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('the manager stops'))
    for (const model of [...this.#behind.keys()]) this.forget(model)
    await this.#run
    for (const readers of this.#readers.values()) await (await readers).close()
  }
}
