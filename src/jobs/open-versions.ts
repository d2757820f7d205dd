import { stat } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import type { Engine, Readers, SnapshotFiles, SnapshotReader } from '../engine/engine.ts'
import { SnapshotMissing } from '../engine/snapshot-missing.ts'
import type { EngineName } from '../kinds/context.ts'
import type { Kinds } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { checkAsPublished } from './as-published.ts'
import { HeldReader } from './held-reader.ts'
import { KEPT_VERSIONS } from './let-go.ts'
import { markLost, VersionLost } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import type { Version } from './records.ts'
import { type Leased, type VersionLease, VersionLeases, versionGone } from './version-leases.ts'

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
  readonly opened: Promise<Opened>
  holders: number
  usedAt: number
  /** Not to be given to anybody any more: it is closed with its last holder. */
  retired: boolean
}

interface Opened {
  lease: VersionLease
  files: SnapshotFiles
  reader: SnapshotReader
  check(): Promise<void>
}

/** Versions among the newest that nobody holds are kept open this long, and at most so many of them. */
const IDLE_MS = 60_000
const MAX_IDLE = 256
/** Of older ones the lease alone may be what keeps them: this long for who reads on there, and so many of a model. */
const OLD_IDLE_MS = 1000
const MAX_OLD_IDLE = 8
const SWEEP_MS = 250
/** So long the database may take to say whether a lease is held that has not been renewed in time. */
const PROOF_MS = 1000

export interface OpenVersionsDeps {
  db: Database
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  /** How long versions that nobody holds are kept open; a minute where left out. */
  idleMs?: number
  /** Milliseconds of a monotonic clock. */
  now?: () => number
}

/**
 * The versions that this process has open, each leased (version-leases.ts) and opened once for all who hold it.
 *
 *   open ─▶ lease ─▶ attach ─▶ held … released ─▶ idle ─┬─ held again
 *                                                       └─ too long, or too old ─▶ detached ─▶ lease given back
 */
export class OpenVersions {
  readonly #deps: OpenVersionsDeps
  readonly #now: () => number
  readonly #idleMs: number
  readonly #leases: VersionLeases
  readonly #readers = new Map<string, Promise<Readers>>()
  readonly #open = new Map<string, Entry>()
  /** The newest version that is known of each model, and when it was last asked for. */
  readonly #newest = new Map<string, { version: number; usedAt: number }>()
  readonly #closing = new Set<Promise<void>>()
  readonly #timer: NodeJS.Timeout

  constructor(deps: OpenVersionsDeps) {
    this.#deps = deps
    this.#now = deps.now ?? (() => performance.now())
    this.#idleMs = deps.idleMs ?? IDLE_MS
    this.#leases = new VersionLeases({ ...deps, now: this.#now })
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
      throw error instanceof SnapshotMissing ? versionGone(version) : error
    }
  }

  #begin(version: Version): Entry {
    const entry: Entry = {
      version,
      opened: this.#openReader(version, () => this.#retire(entry)),
      holders: 0,
      usedAt: 0,
      retired: false,
    }
    return entry
  }

  async #openReader(version: Version, onGone: () => void): Promise<Opened> {
    const leased = await this.#leases.take(version)
    if (!leased) throw versionGone(version)
    try {
      const { lease } = leased
      const files = new ModelFiles(this.#deps.dataDir, version.model).snapshotFiles(lease.version, leased.files)
      const reader = await this.#attach(lease.version, leased, files)
      const check = async () => {
        if (this.#leases.isSafe(lease) || (await this.#isStillThere(lease, files))) return
        onGone()
        throw versionGone(version)
      }
      return { lease, files, reader: new HeldReader(reader, check), check }
    } catch (error) {
      this.#leases.giveBack(leased.lease)
      throw error
    }
  }

  async #attach(version: Version, leased: Leased, files: SnapshotFiles): Promise<SnapshotReader> {
    const kind = this.#deps.kinds.get(leased.kind)
    const engine = this.#deps.engines.get(leased.engine)
    if (!kind || !engine)
      throw new TeatreeError('UNKNOWN_KIND', `Model ${version.model} is of a kind that this server does not know.`)
    const readers = await this.#readersOf(engine)
    let reader: SnapshotReader | undefined
    try {
      reader = await readers.open({ kind, files })
      checkAsPublished(reader, version)
      return reader
    } catch (error) {
      await reader?.close()
      // Files that are not there, or not what was published.
      if (!reader && !(error instanceof SnapshotMissing)) throw error
      this.#deps.log.error({ model: version.model, version: version.version, err: error }, 'a version is not read')
      throw (await markLost(this.#deps.db, version)) ? new VersionLost(version) : error
    }
  }

  /**
   * Where the database cannot say whether a lease was held, the files can: who lets a version go removes their names
   * before anything else is done with what they name. So while it is away, what is open is served.
   */
  async #isStillThere(lease: VersionLease, files: SnapshotFiles): Promise<boolean> {
    const told = await Promise.race([
      this.#leases.held(lease).catch(error => {
        if (error instanceof TeatreeError && error.code === 'UNAVAILABLE') return null
        throw error
      }),
      wait(PROOF_MS, null, { ref: false }),
    ])
    return told ?? (await allThere(files))
  }

  /** The readers of the engine in this process. */
  readers(name: EngineName): Promise<Readers> {
    const engine = this.#deps.engines.get(name)
    if (!engine) throw new Error(`there is no engine ${name}`)
    return this.#readersOf(engine)
  }

  #readersOf(engine: Engine): Promise<Readers> {
    const there = this.#readers.get(engine.name)
    if (there) return there
    const opening = engine.openReaders()
    this.#readers.set(engine.name, opening)
    opening.catch(() => this.#readers.delete(engine.name))
    return opening
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
        async ({ reader, lease }) => {
          await reader.close().finally(() => this.#leases.giveBack(lease))
        },
        // It did not come to be open.
        () => {},
      )
      .catch(error => {
        const { model, version: number } = version
        this.#deps.log.warn({ model, version: number, err: error }, 'a version was not closed')
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
    for (const readers of this.#readers.values()) await (await readers).close()
    await this.#leases.close()
  }
}

async function allThere(files: SnapshotFiles): Promise<boolean> {
  for (const path of Object.values(files)) {
    const there = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return null
      throw error
    })
    if (!there) return false
  }
  return true
}
