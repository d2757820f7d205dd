import type { Readers } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Database } from '../platform/postgres.ts'
import type { Completions } from './completions.ts'
import { isUuid, noModel } from './ledger.ts'
import { VersionLost } from './lost.ts'
import { type OpenSnapshot, OpenVersions, type OpenVersionsDeps } from './open-versions.ts'
import { PageNotes } from './page-notes.ts'
import { ReaderSwitch } from './reader-switch.ts'
import { columns, type Version } from './records.ts'
import { LOOKUPS, type Settled, Together } from './together.ts'
import { versionGone } from './version-leases.ts'

export type { OpenSnapshot }

/** Which version is asked for; the newest where nothing is said. */
export type SnapshotAt = { version: number } | { intent: string } | { atLeast: number } | { asOf: string }

/** The version of this number, or the newest. */
interface Lookup {
  model: string
  version: number | null
}

/** Finds versions, and holds them open for the readers of this process. */
export class Snapshots {
  readonly #db: Database
  readonly #completions: Completions
  readonly #versions: OpenVersions
  readonly #notes: PageNotes
  readonly #switch: ReaderSwitch
  readonly #lookups = new Together<Lookup, Version | null | undefined>(lookups => this.#find(lookups), LOOKUPS)

  constructor(deps: OpenVersionsDeps & { completions: Completions }) {
    this.#db = deps.db
    this.#completions = deps.completions
    const versions = new OpenVersions(deps)
    this.#versions = versions
    this.#notes = new PageNotes({ ...deps, versions })
    this.#switch = new ReaderSwitch({ ...deps, versions, newest: model => this.#newest(model) })
  }

  /**
   * The version that `at` selects, waited for up to `waitMs` where it is not there yet. SNAPSHOT_NOT_YET, SNAPSHOT_GONE,
   * NOT_FOUND (model, intent).
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
    if (!version.kept) throw versionGone(version)
    return version
  }

  /** Null where it is not there yet. */
  async #look(model: string, at: SnapshotAt | null): Promise<Version | null> {
    if (at === null) return this.#newest(model)
    if ('version' in at) return this.#numbered(model, at.version)
    if ('atLeast' in at) {
      const newest = await this.#newest(model)
      return newest.version >= at.atLeast ? newest : null
    }
    if ('asOf' in at) return this.#asOf(model, at.asOf)
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
    return intent.ended ? this.#newest(model) : null
  }

  /** Who asks meanwhile is answered by the next query: what has been published before he asked is always seen. */
  async #newest(model: string): Promise<Version> {
    const found = await this.#numbered(model, null)
    if (!found) throw new Error(`model ${model} has no version`)
    return found
  }

  /** The version of this number, or the newest; null where there is none yet. */
  async #numbered(model: string, version: number | null): Promise<Version | null> {
    const found = await this.#lookups.add({ model, version })
    if (found === undefined) throw noModel(model)
    return found
  }

  /** Of a model that is not there, undefined. */
  async #find(lookups: readonly Lookup[]): Promise<Settled<Version | null | undefined>[]> {
    const found = await this.#db.again<{ place: number; version: number | null } & Version>(
      `SELECT a.place::integer, ${columns.version('v')}
         FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS a (model, version, place)
              JOIN goal_model m ON m.id = a.model AND m.deleted_at IS NULL
              LEFT JOIN model_version v ON v.model = m.id AND v.version = coalesce(a.version, m.version)`,
      [lookups.map(({ model }) => model), lookups.map(({ version }) => version)],
    )
    const values = new Map(found.map(({ place, ...version }) => [place, version.version === null ? null : version]))
    return lookups.map((_, index) => ({ status: 'fulfilled', value: values.get(index + 1) }))
  }

  /** What will be the newest at an instant that is yet to come, nobody knows: it is waited for as every other. */
  async #asOf(model: string, asOf: string): Promise<Version | null> {
    const [clock] = await this.#db.query<{ isAhead: boolean }>(
      'SELECT $1::timestamptz > statement_timestamp() AS "isAhead"',
      [asOf],
    )
    if (clock?.isAhead) return null
    const version = await this.#one(model, 'v.published_at <= $2 ORDER BY v.version DESC LIMIT 1', asOf)
    if (!version) throw new TeatreeError('SNAPSHOT_GONE', `Model ${model} was not there at ${asOf}.`)
    return version
  }

  /** @throws TeatreeError NOT_FOUND where the model is not there, or no longer */
  async #one(model: string, condition: string, value?: unknown): Promise<Version | null> {
    const [found] = await this.#db.query<Version | { version: null }>(
      `SELECT ${columns.version('v')}
         FROM goal_model m LEFT JOIN LATERAL (SELECT * FROM model_version v WHERE v.model = m.id AND ${condition}) v ON true
        WHERE m.id = $1 AND m.deleted_at IS NULL`,
      value === undefined ? [model] : [model, value],
    )
    if (!found) throw noModel(model)
    return found.version === null ? null : found
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
  open(version: Version): Promise<OpenSnapshot> {
    return this.#versions.open(version)
  }

  /** The readers of an engine, for results. */
  readers(engine: EngineName): Promise<Readers> {
    return this.#versions.readers(engine)
  }

  /** A page that has a next one was read from a version that is held: it is kept for who goes on there. */
  paged(version: Version): void {
    this.#notes.add(version)
  }

  async close(): Promise<void> {
    await this.#switch.close()
    await this.#notes.close()
    await this.#versions.close()
  }
}
