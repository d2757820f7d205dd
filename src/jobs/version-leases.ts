import { randomUUID } from 'node:crypto'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { LEASE_SECONDS, RENEW_SECONDS, SAFE_MS } from './lease.ts'
import { noModel } from './ledger.ts'
import { VersionLost } from './lost.ts'
import { columns, type Model, type Version } from './records.ts'

/** That a version is kept, for a process that reads it. */
export interface VersionLease {
  readonly version: Version
  /** Its row, and the reader's whose it is. */
  id: string
  reader: Reader
  /** Under way: finding out whether it is still held. */
  proof: Promise<boolean> | null
}

/** This process, as version_reader knows it. */
interface Reader {
  readonly id: string
  /** Nobody can have removed the row before, on this process's monotonic clock, which may stand still in a machine's sleep. */
  safeUntil: number
  /** The same on the clock on the wall, which does not. */
  safeUntilDate: number
}

/** A version that was leased, with what it takes to open it. */
export interface Leased {
  lease: VersionLease
  kind: string
  engine: Model['engine']
  /** Names of its files. */
  files: string[]
}

/**
 * The versions that this process reads, so that nobody lets them go: a file that is open is not safe by being open, since
 * one that no version needs any more is written over in its place.
 *
 *   this process   ├─ asked ─────────────── safe: what is read counts ──────────────┤ 8 s, its own clock
 *   database          ├─ renewed ────────────────────────────────── expires_at ─────────────┤ 10 s, the database's clock
 *   who lets go                                                                             └─▶ removes the reader's row,
 *                                                                                               and with it its leases
 *
 * - A lease is written before the files are opened, by a statement that locks the version's row for sharing: who lets
 *   versions go locks it too, and looks for leases after that. So either he sees the lease, or it is not given.
 * - A lease ends only by the removal of its reader's row. Renewing writes that row, so one of the two comes first, and
 *   whoever finds it gone knows that its leases are; a late renewal of a row that is still there has lost nothing.
 * - What was read counts if the lease is held after the read (`held`): then it was held all the time. Past the safe time
 *   (a process that was frozen, or cut off) the database is asked: the row is there, or the version is still kept and is
 *   leased anew (what was let go never comes back), or it is gone, and so is what was read.
 */
export class VersionLeases {
  readonly #db: Database
  readonly #log: Log
  readonly #now: () => number
  readonly #renewal: NodeJS.Timeout
  #reader: Reader | null = null
  #registering: Promise<Reader> | null = null
  #renewing: Promise<void> | null = null
  /** Rows of leases that are no longer needed. */
  readonly #returned = new Set<string>()
  #returning: Promise<void> | null = null

  /** `now` in milliseconds of a monotonic clock. */
  constructor({ db, log, now }: { db: Database; log: Log; now?: () => number }) {
    this.#db = db
    this.#log = log
    this.#now = now ?? (() => performance.now())
    this.#renewal = setInterval(() => this.#tick(), RENEW_SECONDS * 1000)
    this.#renewal.unref()
  }

  /**
   * Leases the version, and says how to open it; null where it is not kept. NOT_FOUND (model), UNAVAILABLE while its files
   * are made again.
   */
  async take(version: Version): Promise<Leased | null> {
    let { epoch } = version
    for (;;) {
      const reader = await this.#registered()
      const id = randomUUID()
      const asked = { ...version, epoch }
      const [found] = await this.#insert(id, reader, asked)
      if (!found) throw noModel(version.model)
      const { kind, engine, files, leased, locked } = found
      if (leased) return { lease: { version: asked, id, reader, proof: null }, kind, engine, files }
      if (!found.kept) return null
      if (found.lost) throw new VersionLost(version)
      // Its files have been made again, in a folder of another epoch, since it was found; or the reader is not there any more.
      if (found.epoch !== epoch) epoch = found.epoch
      else if (locked) this.#ended(reader)
    }
  }

  async #insert(id: string, reader: Reader, { model, version, epoch }: Version) {
    try {
      return await this.#db.again<
        Omit<Leased, 'lease'> & Pick<Version, 'epoch' | 'kept' | 'lost'> & { locked: boolean; leased: boolean }
      >(
        `WITH kept AS (
           SELECT model, version FROM model_version WHERE model = $1 AND version = $2 AND epoch = $3 AND kept AND NOT lost FOR SHARE),
         reader AS (SELECT id FROM version_reader WHERE id = $4 FOR KEY SHARE),
         lease AS (
           INSERT INTO version_lease (id, reader, model, version)
           SELECT $5, reader.id, kept.model, kept.version FROM kept, reader RETURNING id)
         SELECT m.kind, m.engine, ${columns.files('v', 'm')}, v.epoch, v.kept, v.lost,
                EXISTS (SELECT FROM kept) AS locked, EXISTS (SELECT FROM lease) AS leased
           FROM goal_model m JOIN model_version v ON v.model = m.id WHERE m.id = $1 AND v.version = $2`,
        [model, version, epoch, reader.id, id],
      )
    } catch (error) {
      // It may have come about all the same.
      this.#giveBack(id)
      throw error
    }
  }

  /** Whether nobody can have let the version go by now, as far as can be told without asking. */
  isSafe({ reader }: VersionLease): boolean {
    return reader === this.#reader && this.#now() < reader.safeUntil && Date.now() < reader.safeUntilDate
  }

  /** Whether nobody has let the version go by now. UNAVAILABLE where that cannot be found out. */
  async held(lease: VersionLease): Promise<boolean> {
    while (!this.isSafe(lease)) {
      lease.proof ??= this.#prove(lease).finally(() => {
        lease.proof = null
      })
      if (!(await lease.proof)) return false
    }
    return true
  }

  async #prove(lease: VersionLease): Promise<boolean> {
    if (lease.reader === this.#reader) await this.#renew()
    if (lease.reader === this.#reader) return true
    const again = await this.take(lease.version)
    if (!again) return false
    if (again.lease.version.epoch !== lease.version.epoch) {
      // What is open are not its files any more.
      this.giveBack(again.lease)
      return false
    }
    lease.id = again.lease.id
    lease.reader = again.lease.reader
    return true
  }

  /** The version is closed here: as far as this process goes, it may go. */
  giveBack({ id }: VersionLease): void {
    this.#giveBack(id)
  }

  #giveBack(id: string): void {
    this.#returned.add(id)
    this.#returning ??= this.#return()
  }

  /** Those that come in meanwhile go together with the next; what does not get through is tried with the next renewal. */
  async #return(): Promise<void> {
    await null
    try {
      while (this.#returned.size > 0) {
        const ids = [...this.#returned]
        await this.#db.query('DELETE FROM version_lease WHERE id = ANY($1)', [ids])
        for (const id of ids) this.#returned.delete(id)
      }
    } catch (error) {
      this.#log.debug({ err: error }, 'leases of versions were not given back yet')
    } finally {
      this.#returning = null
    }
  }

  #registered(): Promise<Reader> {
    if (this.#reader) return Promise.resolve(this.#reader)
    this.#registering ??= this.#register().finally(() => {
      this.#registering = null
    })
    return this.#registering
  }

  async #register(): Promise<Reader> {
    const reader = { id: randomUUID(), safeUntil: this.#now() + SAFE_MS, safeUntilDate: Date.now() + SAFE_MS }
    await this.#db.query(
      'INSERT INTO version_reader (id, expires_at) VALUES ($1, clock_timestamp() + make_interval(secs => $2))',
      [reader.id, LEASE_SECONDS],
    )
    this.#reader = reader
    return reader
  }

  #renew(): Promise<void> {
    this.#renewing ??= this.#renewOnce().finally(() => {
      this.#renewing = null
    })
    return this.#renewing
  }

  /** All leases of the process at once: they are their reader's. */
  async #renewOnce(): Promise<void> {
    const reader = this.#reader
    if (!reader) return
    const [asked, askedDate] = [this.#now(), Date.now()]
    const [there] = await this.#db.query(
      'UPDATE version_reader SET expires_at = clock_timestamp() + make_interval(secs => $2) WHERE id = $1 RETURNING id',
      [reader.id, LEASE_SECONDS],
    )
    if (there) {
      reader.safeUntil = asked + SAFE_MS
      reader.safeUntilDate = askedDate + SAFE_MS
    } else this.#ended(reader)
  }

  #ended(reader: Reader): void {
    if (this.#reader !== reader) return
    this.#reader = null
    this.#log.warn('the leases of the versions that are open have ended')
  }

  #tick(): void {
    this.#renew().catch(error => this.#log.warn({ err: error }, 'leases of versions were not renewed'))
    if (this.#returned.size > 0) this.#returning ??= this.#return()
  }

  /** Gives everything back. To be called when nothing is open any more. */
  async close(): Promise<void> {
    clearInterval(this.#renewal)
    await this.#registering?.catch(() => {})
    await this.#renewing?.catch(() => {})
    const reader = this.#reader
    this.#reader = null
    // One that is not removed ends by itself.
    if (reader) await this.#db.query('DELETE FROM version_reader WHERE id = $1', [reader.id]).catch(() => {})
    await this.#returning
  }
}

/**
 * Ends the leases of processes that have not renewed them: they were killed, frozen, or cut off. Not right after the
 * database has come back: those that could not reach it have to have their turn.
 */
export async function endReaders(db: Database): Promise<void> {
  await db.again(
    `DELETE FROM version_reader WHERE id IN (
       SELECT id FROM version_reader
        WHERE expires_at < clock_timestamp()
          AND pg_postmaster_start_time() < clock_timestamp() - make_interval(secs => $1) FOR UPDATE SKIP LOCKED)`,
    [LEASE_SECONDS],
  )
}

export const versionGone = ({ model, version }: Pick<Version, 'model' | 'version'>) =>
  new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is no longer kept; read the newest.`)
