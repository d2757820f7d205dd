import type { Readers, SnapshotReader } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import { type LeasedReader, LeasedReaders, type LeasedReadersDeps } from './leased-readers.ts'
import { KEPT_VERSIONS } from './let-go.ts'
import type { Version } from './records.ts'

/** A version that is held open for one reader; nothing that is published meanwhile touches it. Release it when done. */
export interface OpenSnapshot {
  readonly version: Version
  /** What it answers with has been checked (`check`). */
  readonly reader: SnapshotReader
  /**
   * For who reads the version's files himself, after each read and before anything of it is handed on: rejects with
   * SNAPSHOT_GONE where the version was let go while this process could not see it, so that they may be others' by now.
   */
  check(): Promise<void>
  release(): void
}

interface Entry {
  readonly version: Version
  readonly opened: Promise<LeasedReader>
  holders: number
  usedAt: number
  /** Not to be given to anybody any more: it is closed with its last holder. */
  retired: boolean
}

/** Versions among the newest that nobody holds are kept open this long, and at most so many of them. */
const IDLE_MS = 60_000
const MAX_IDLE = 256
/** Of older ones the lease alone may be what keeps them: this long for who reads on there, and so many of a model. */
const OLD_IDLE_MS = 1000
const MAX_OLD_IDLE = 8
const SWEEP_MS = 250

export interface OpenVersionsDeps extends LeasedReadersDeps {
  /** How long versions that nobody holds are kept open; a minute where left out. */
  idleMs?: number
}

/**
 * The versions that this process has open, each leased and opened once for all who hold it (leased-readers.ts).
 *
 *   open ─▶ lease ─▶ attach ─▶ held … released ─▶ idle ─┬─ held again
 *                                                       └─ too long, or too old ─▶ detached ─▶ lease given back
 */
export class OpenVersions {
  readonly #log: OpenVersionsDeps['log']
  readonly #now: () => number
  readonly #idleMs: number
  readonly #readers: LeasedReaders
  readonly #open = new Map<string, Entry>()
  /** The newest version that is known of each model, and when it was last asked for. */
  readonly #newest = new Map<string, { version: number; usedAt: number }>()
  readonly #closing = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout

  constructor(deps: OpenVersionsDeps) {
    this.#log = deps.log
    this.#now = deps.now ?? (() => performance.now())
    this.#idleMs = deps.idleMs ?? IDLE_MS
    this.#readers = new LeasedReaders({ ...deps, now: this.#now })
    this.#timer = setInterval(() => this.#closeIdle(), SWEEP_MS)
    this.#timer.unref()
  }

  /** Holds the version open. SNAPSHOT_GONE where it is not kept any more, UNAVAILABLE while its files are made again. */
  async open(version: Version): Promise<OpenSnapshot> {
    const newest = this.#newest.get(version.model)
    if (!newest || version.version >= newest.version)
      this.#newest.set(version.model, { version: version.version, usedAt: this.#now() })
    return (await this.#hold(version)).snapshot
  }

  /**
   * Opens a version that has just been published and touches its tables, so that the first query finds it open; what is
   * older than the newest few goes when nobody holds it.
   */
  async prepare(version: Version): Promise<void> {
    const newest = this.#newest.get(version.model)
    if (newest) newest.version = Math.max(newest.version, version.version)
    const { snapshot, isNew } = await this.#hold(version)
    try {
      if (isNew) await snapshot.reader.tables()
    } finally {
      snapshot.release()
      this.#closeIdle()
    }
  }

  /** Whether the newest version of the model was asked for here of late. */
  isUsed(model: string): boolean {
    const newest = this.#newest.get(model)
    return newest !== undefined && this.#now() - newest.usedAt < this.#idleMs
  }

  /** Becomes a holder at once, before anything is waited for. */
  async #hold(version: Version): Promise<{ snapshot: OpenSnapshot; isNew: boolean }> {
    const key = `${version.model}@${version.version}-${version.epoch}`
    const there = this.#open.get(key)
    const entry = there ?? this.#begin(version)
    this.#open.set(key, entry)
    entry.holders++
    let released = false
    const release = () => {
      if (released) return
      released = true
      entry.holders--
      entry.usedAt = this.#now()
      if (entry.holders > 0) return
      if (entry.retired) this.#close(entry)
      else if (this.#idleMs === 0) this.#retire(entry)
    }
    try {
      const { reader, check } = await entry.opened
      await check()
      return { snapshot: { version, reader, check, release }, isNew: !there }
    } catch (error) {
      this.#retire(entry)
      release()
      throw error
    }
  }

  #begin(version: Version): Entry {
    const entry: Entry = {
      version,
      opened: this.#readers.open(version, () => this.#retire(entry)),
      holders: 0,
      usedAt: 0,
      retired: false,
    }
    return entry
  }

  /** The readers of the engine in this process. */
  readers(name: EngineName): Promise<Readers> {
    return this.#readers.readers(name)
  }

  #closeIdle(): void {
    const now = this.#now()
    const idle = [...this.#open.values()].filter(({ holders }) => holders === 0).sort((a, b) => b.usedAt - a.usedAt)
    const old = new Map<string, number>()
    for (const [index, entry] of idle.entries()) {
      const { model, version } = entry.version
      const age = (this.#newest.get(model)?.version ?? 0) - version
      const ofModel = old.get(model) ?? 0
      if (age >= KEPT_VERSIONS) old.set(model, ofModel + 1)
      const isDue =
        age >= KEPT_VERSIONS
          ? ofModel >= MAX_OLD_IDLE || now - entry.usedAt >= Math.min(OLD_IDLE_MS, this.#idleMs)
          : index >= MAX_IDLE || now - entry.usedAt >= this.#idleMs
      if (isDue) this.#retire(entry)
    }
    for (const [model, { usedAt }] of this.#newest) if (now - usedAt >= this.#idleMs) this.#newest.delete(model)
  }

  #retire(entry: Entry): void {
    if (entry.retired) return
    entry.retired = true
    const { model, version, epoch } = entry.version
    this.#open.delete(`${model}@${version}-${epoch}`)
    if (entry.holders === 0) this.#close(entry)
  }

  #close({ version, opened }: Entry): void {
    const closing = opened
      .then(
        leased => leased.close(),
        // It did not come to be open.
        () => {},
      )
      .catch(error => {
        const { model, version: number } = version
        this.#log.warn({ model, version: number, err: error }, 'a version was not closed')
      })
      .finally(() => this.#closing.delete(closing))
    this.#closing.add(closing)
  }

  /** Closes all, whoever still holds it. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    for (const entry of this.#open.values()) {
      entry.retired = true
      this.#close(entry)
    }
    this.#open.clear()
    await Promise.all(this.#closing)
    await this.#readers.close()
  }
}
