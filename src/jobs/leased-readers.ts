import { setTimeout as wait } from 'node:timers/promises'
import type { Engine, Readers, SnapshotFiles, SnapshotReader, VersionOpened } from '../engine/engine.ts'
import { SnapshotDamaged } from '../engine/snapshot-damaged.ts'
import { SnapshotMissing } from '../engine/snapshot-missing.ts'
import type { EngineName } from '../kinds/context.ts'
import type { Kinds } from '../kinds/kind.ts'
import { isUnavailable, TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { checkAsPublished } from './as-published.ts'
import { HeldReader } from './held-reader.ts'
import { areThere, markLost, VersionLost } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import type { Version } from './records.ts'
import { type Leased, type VersionLease, VersionLeases, versionGone } from './version-leases.ts'

/** So long the database may take to say whether a lease is held that has not been renewed in time. */
const PROOF_MS = 1000

export interface LeasedReadersDeps {
  db: Database
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  /** Milliseconds of a monotonic clock. */
  now?: () => number
}

/** A version that is open, and leased for as long. */
export interface LeasedReader {
  /** What it answers with has been checked (`check`). */
  reader: SnapshotReader
  /** Rejects with SNAPSHOT_GONE where what was read until now may be another version's. */
  check(): Promise<void>
  /** Closes it, and gives the lease back. */
  close(): Promise<void>
}

/**
 * Opens versions for this process, each under a lease (version-leases.ts):
 *
 *   lease ─▶ attach ─▶ is it what was published? ─▶ read ─▶ still leased? ─▶ answer
 *                       └ no ─▶ lost, or gone         └ damaged ─▶ lost      └ no ─▶ gone
 */
export class LeasedReaders {
  readonly #deps: LeasedReadersDeps
  readonly #leases: VersionLeases
  readonly #readers = new Map<string, Promise<Readers>>()

  constructor(deps: LeasedReadersDeps) {
    this.#deps = deps
    this.#leases = new VersionLeases(deps)
  }

  /**
   * SNAPSHOT_GONE where it is not kept any more, UNAVAILABLE while its files are made again. `onUnfit` is told when nobody
   * should be given it any more.
   */
  async open(version: Version, onUnfit: () => void): Promise<LeasedReader> {
    const leased = await this.#leases.take(version)
    if (!leased) throw versionGone(version)
    const { lease } = leased
    try {
      const files = new ModelFiles(this.#deps.dataDir, version.model).snapshotFiles(lease.version, leased.files)
      const check = async () => {
        if (this.#leases.isSafe(lease) || (await this.#isStillThere(lease, files))) return
        onUnfit()
        throw versionGone(version)
      }
      // Of files that have been made again since it was found, nobody knows which rows came last.
      const of = lease.version.epoch === version.epoch ? { ...version, check } : undefined
      const reader = await this.#attach(lease.version, leased, files, of)
      const told = async (error: unknown) => {
        if (!(error instanceof SnapshotDamaged)) return error
        onUnfit()
        return this.#unfit(lease.version, error)
      }
      const close = () => reader.close().finally(() => this.#leases.giveBack(lease))
      return { reader: new HeldReader(reader, { check, told }), check, close }
    } catch (error) {
      this.#leases.giveBack(lease)
      throw error instanceof SnapshotMissing ? versionGone(version) : error
    }
  }

  async #attach(
    version: Version,
    leased: Leased,
    files: SnapshotFiles,
    of: VersionOpened | undefined,
  ): Promise<SnapshotReader> {
    const kind = this.#deps.kinds.get(leased.kind)
    const engine = this.#deps.engines.get(leased.engine)
    if (!kind || !engine)
      throw new TeatreeError('UNKNOWN_KIND', `Model ${version.model} is of a kind that this server does not know.`)
    const readers = await this.#readersOf(engine)
    let reader: SnapshotReader | undefined
    try {
      reader = await readers.open({ kind, files, ...(of && { of }) })
      checkAsPublished(reader, version)
      return reader
    } catch (error) {
      await reader?.close()
      const isUnfit = reader || error instanceof SnapshotMissing || error instanceof SnapshotDamaged
      throw isUnfit ? await this.#unfit(version, error) : error
    }
  }

  /** What is told of files that are not there, or not what was published: they are made again, unless nobody needs them. */
  async #unfit(version: Version, err: unknown): Promise<TeatreeError> {
    this.#deps.log.error({ model: version.model, version: version.version, err }, 'a version is not read')
    return (await markLost(this.#deps.db, version)) ? new VersionLost(version) : versionGone(version)
  }

  /**
   * Where the database cannot say whether a lease was held, the files can: who lets a version go removes their names
   * before anything else is done with what they name. So while it is away, what is open is served.
   */
  async #isStillThere(lease: VersionLease, files: SnapshotFiles): Promise<boolean> {
    const told = await Promise.race([
      this.#leases.held(lease).catch(error => {
        if (isUnavailable(error)) return null
        throw error
      }),
      wait(PROOF_MS, null, { ref: false }),
    ])
    return told ?? (await areThere(Object.values(files)))
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

  /** To be called when nothing is open any more. */
  async close(): Promise<void> {
    for (const readers of this.#readers.values()) await (await readers).close()
    await this.#leases.close()
  }
}
