import type { Engine, Readers, SnapshotReader } from '../engine/engine.ts'
import { SnapshotMissing } from '../engine/snapshot-missing.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { checkAsPublished } from './as-published.ts'
import type { Completions } from './completions.ts'
import { isUuid, noModel } from './ledger.ts'
import { markLost, VersionLost } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import { columns, type Model, type Version } from './records.ts'

/** Which version is asked for; the newest where nothing is said. */
export type SnapshotAt = { version: number } | { intent: string } | { atLeast: number } | { asOf: string }

/** A version that is held open for one reader; nothing that is published meanwhile touches it. Release it when done. */
export interface OpenSnapshot {
  readonly version: Version
  readonly reader: SnapshotReader
  release(): void
}

interface Entry {
  reader: Promise<SnapshotReader>
  holders: number
  usedAt: number
}

/** Versions that nobody holds are kept open this long, and at most so many of them. */
const IDLE_MS = 60_000
const MAX_IDLE = 256

/** Finds versions, and opens them for the readers of this process. */
export class Snapshots {
  readonly #db: Database
  readonly #kinds: Kinds
  readonly #engines: ReadonlyMap<string, Engine>
  readonly #completions: Completions
  readonly #dataDir: string
  readonly #log: Log
  readonly #readers = new Map<string, Promise<Readers>>()
  readonly #open = new Map<string, Entry>()
  readonly #sweep: NodeJS.Timeout

  constructor(deps: {
    db: Database
    kinds: Kinds
    engines: ReadonlyMap<string, Engine>
    completions: Completions
    dataDir: string
    log: Log
  }) {
    this.#db = deps.db
    this.#kinds = deps.kinds
    this.#engines = deps.engines
    this.#completions = deps.completions
    this.#dataDir = deps.dataDir
    this.#log = deps.log
    this.#sweep = setInterval(() => this.#closeIdle(), IDLE_MS / 4)
    this.#sweep.unref()
  }

  /**
   * The version that `at` selects, waited for up to `waitMs` where it is not there yet. SNAPSHOT_NOT_YET, SNAPSHOT_GONE,
   * NOT_FOUND (intent), BAD_VALUE.
   */
  async find(model: string, at: SnapshotAt | null, waitMs: number, signal?: AbortSignal): Promise<Version> {
    let found: Version | null = null
    const look = async () => {
      found = await this.#look(model, at)
      return found !== null
    }
    await this.#completions.until(model, look, waitMs, signal)
    const version = found as Version | null
    if (!version)
      throw new TeatreeError('SNAPSHOT_NOT_YET', `Model ${model} has no such version yet; wait longer or ask again.`)
    if (!version.kept) throw gone(version)
    return version
  }

  /** Null where it is not there yet. */
  async #look(model: string, at: SnapshotAt | null): Promise<Version | null> {
    if (at === null) return this.#one(model, 'v.version = m.version')
    if ('version' in at) return this.#one(model, 'v.version = $2', at.version)
    if ('atLeast' in at) return this.#one(model, 'v.version = m.version AND v.version >= $2', at.atLeast)
    if ('asOf' in at) {
      const version = await this.#one(model, 'v.published_at <= $2 ORDER BY v.version DESC LIMIT 1', at.asOf)
      if (!version) throw new TeatreeError('SNAPSHOT_GONE', `Model ${model} was not there at ${at.asOf}.`)
      return version
    }
    const [intent] = isUuid(at.intent)
      ? await this.#db.query<{ model: string; version: number | null; ended: boolean }>(
          'SELECT model, version, ended_at IS NOT NULL AS ended FROM intent WHERE id = $1',
          [at.intent],
        )
      : []
    if (!intent || intent.model !== model)
      throw new TeatreeError('NOT_FOUND', `Model ${model} has no intent ${at.intent}.`)
    if (intent.version !== null)
      return this.#one(model, 'v.version >= $2 AND v.kept ORDER BY v.version LIMIT 1', intent.version)
    return intent.ended ? this.#one(model, 'v.version = m.version') : null
  }

  async #one(model: string, condition: string, value?: unknown): Promise<Version | null> {
    const [version] = await this.#db.query<Version>(
      `SELECT ${columns.version('v')} FROM model_version v JOIN goal_model m ON m.id = v.model
        WHERE v.model = $1 AND m.deleted_at IS NULL AND ${condition}`,
      value === undefined ? [model] : [model, value],
    )
    return version ?? null
  }

  /** The versions that can still be read, newest first, before version `before`. */
  kept(model: string, limit: number, before: number | null): Promise<Version[]> {
    return this.#db.query<Version>(
      `SELECT ${columns.version('v')} FROM model_version v
        WHERE v.model = $1 AND v.kept AND ($2::integer IS NULL OR v.version < $2) ORDER BY v.version DESC LIMIT $3`,
      [model, before, limit],
    )
  }

  labels(version: Version): Promise<{ label: string }[]> {
    return this.#db.query('SELECT label FROM version_pin WHERE model = $1 AND version = $2 ORDER BY label', [
      version.model,
      version.version,
    ])
  }

  /**
   * Finds a version (see `find`) and holds it open. Where its files are lost, they are waited for within the same time,
   * and then it is UNAVAILABLE.
   */
  async acquire(model: string, at: SnapshotAt | null, waitMs: number, signal?: AbortSignal): Promise<OpenSnapshot> {
    const end = performance.now() + waitMs
    for (let tries = 1; ; tries++) {
      const version = await this.find(model, at, Math.max(0, end - performance.now()), signal)
      try {
        return await this.open(version)
      } catch (error) {
        if (error instanceof VersionLost && (await this.#madeAgain(version, end - performance.now(), signal))) continue
        // The newest as it was found may have been let go before it was open: then there is a newer one.
        const code = error instanceof TeatreeError ? error.code : ''
        if (code !== 'SNAPSHOT_GONE' || (at && 'version' in at) || tries === 5) throw error
      }
    }
  }

  /** Whether a version is lost no longer within this time: it has been made again, or let go. */
  #madeAgain({ model, version }: Version, waitMs: number, signal?: AbortSignal): Promise<boolean> {
    const look = async () => (await this.#one(model, 'v.version = $2 AND v.lost AND v.kept', version)) === null
    return this.#completions.until(model, look, waitMs, signal)
  }

  /** Holds the version open. SNAPSHOT_GONE where its files are not kept any more, UNAVAILABLE while they are made again. */
  async open(version: Version): Promise<OpenSnapshot> {
    const key = `${version.model}@${version.version}`
    const entry = this.#open.get(key) ?? { reader: this.#openReader(version), holders: 0, usedAt: 0 }
    this.#open.set(key, entry)
    entry.holders++
    let released = false
    const release = () => {
      if (released) return
      released = true
      entry.holders--
      entry.usedAt = performance.now()
    }
    try {
      return { version, reader: await entry.reader, release }
    } catch (error) {
      release()
      if (this.#open.get(key) === entry) this.#open.delete(key)
      throw error instanceof SnapshotMissing ? gone(version) : error
    }
  }

  async #openReader(version: Version): Promise<SnapshotReader> {
    const [model] = await this.#db.query<
      Pick<Model, 'kind' | 'engine'> & Pick<Version, 'epoch' | 'lost' | 'kept'> & { files: string[] }
    >(
      `SELECT m.kind, m.engine, v.epoch, v.lost, v.kept, ${columns.files('v', 'm')}
         FROM goal_model m JOIN model_version v ON v.model = m.id WHERE m.id = $1 AND v.version = $2`,
      [version.model, version.version],
    )
    const kind = this.#kinds.get(model?.kind ?? '')
    const engine = this.#engines.get(model?.engine ?? '')
    if (!model) throw noModel(version.model)
    if (!kind || !engine)
      throw new TeatreeError('UNKNOWN_KIND', `Model ${version.model} is of a kind that this server does not know.`)
    if (model.lost && model.kept) throw new VersionLost(version)
    // It may have been made again, in the folder of another epoch, since it was found.
    const now = { ...version, epoch: model.epoch }
    const reader = await this.#attach(now, kind, engine, model.files)
    try {
      checkAsPublished(reader, version)
      return reader
    } catch (error) {
      this.#log.error({ model: version.model, version: version.version, err: error }, 'a version is not read')
      await reader.close()
      throw await this.#lostOr(now, error)
    }
  }

  async #attach(version: Version, kind: Kind, engine: Engine, names: readonly string[]): Promise<SnapshotReader> {
    const readers = await this.#readersOf(engine)
    try {
      const files = new ModelFiles(this.#dataDir, version.model).snapshotFiles(version, names)
      return await readers.open({ kind, files })
    } catch (error) {
      throw error instanceof SnapshotMissing ? await this.#lostOr(version, error) : error
    }
  }

  /** Files that should be there as they were published are lost; those of a version that is not kept are simply gone. */
  async #lostOr(version: Version, error: unknown): Promise<unknown> {
    return (await markLost(this.#db, version)) ? new VersionLost(version) : error
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
    const now = performance.now()
    const idle = [...this.#open].filter(([, entry]) => entry.holders === 0).sort(([, a], [, b]) => b.usedAt - a.usedAt)
    for (const [index, [key, entry]] of idle.entries()) {
      if (index < MAX_IDLE && now - entry.usedAt < IDLE_MS) continue
      this.#open.delete(key)
      entry.reader
        .then(reader => reader.close())
        .catch(error => this.#log.warn({ err: error, snapshot: key }, 'snapshot not closed'))
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#sweep)
    for (const { reader } of this.#open.values()) await reader.then(open => open.close()).catch(() => {})
    for (const readers of this.#readers.values()) await (await readers).close()
  }
}

const gone = ({ model, version }: Version) =>
  new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is no longer kept; read the newest.`)
