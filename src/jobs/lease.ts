import { reach } from '../platform/kill-points.ts'
import { Database, type Queryable } from '../platform/postgres.ts'
import { notifyModel } from './channel.ts'

/** How long a lease lasts without being renewed, on the database's clock. */
export const LEASE_SECONDS = 10
export const RENEW_SECONDS = 3
/** A manager gives a lease up this long before it could be lost, on its own monotonic clock. */
export const SAFE_MS = (LEASE_SECONDS - 2) * 1000

/** Renewals that are under way at the same time: one whose answer is lost does not keep the next. */
export const RENEWALS = 2

/**
 * Connections for renewals alone, which wait for nothing that lines are at. What is answered later than the lease may have ended is
 * of no use, and is not waited for.
 */
export const openRenewals = (to: { url: string; name: string; onError: (error: Error) => void }): Database =>
  new Database({
    ...to,
    connections: RENEWALS,
    limits: { connectMs: 2000, statementMs: SAFE_MS - 1000, answerMs: 1000 },
  })

interface Lease {
  readonly epoch: number
  safeUntil: number
}

/**
 * The lease of a model: one manager at a time, told apart by its epoch. The database's clock alone decides when one
 * has ended; whatever an older epoch still tries is refused by "where epoch = mine" in every write of a manager.
 *
 *   acquire ─▶ epoch E ─▶ renew … renew ─▶ release
 *                  └─ not renewed for 10 s ─▶ another acquires epoch E + 1
 */
export class Leases {
  readonly #db: Database
  readonly #renewals: Queryable
  readonly owner: string
  readonly #held = new Map<string, Lease>()

  /** `renewals`: over which leases are renewed; see openRenewals. */
  constructor(db: Database, owner: string, renewals: Queryable = db) {
    this.#db = db
    this.#renewals = renewals
    this.owner = owner
  }

  /** The new epoch, or null while another manager holds the model or it is not there. */
  async acquire(model: string): Promise<number | null> {
    const asked = performance.now()
    const epoch = await this.#db.transaction(async tx => {
      const [there] = await tx.query('SELECT FROM goal_model WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [
        model,
      ])
      if (!there) return null
      // One of this owner which it does not hold any more is of a release that did not get through.
      const [lease] = await tx.query<{ epoch: number }>(
        `INSERT INTO model_lease AS l (model, owner, epoch, expires_at)
         SELECT id, $2, epoch + 1, clock_timestamp() + make_interval(secs => $3) FROM goal_model WHERE id = $1
         ON CONFLICT (model) DO UPDATE
            SET owner = excluded.owner, epoch = excluded.epoch, since = clock_timestamp(), expires_at = excluded.expires_at
          WHERE l.expires_at < clock_timestamp() OR l.owner = excluded.owner
         RETURNING epoch`,
        [model, this.owner, LEASE_SECONDS],
      )
      if (!lease) return null
      await tx.query('UPDATE goal_model SET epoch = $2 WHERE id = $1', [model, lease.epoch])
      await notifyModel(tx, model)
      return lease.epoch
    })
    if (epoch === null) return null
    reach('lease.acquired')
    this.#held.set(model, { epoch, safeUntil: asked + SAFE_MS })
    return epoch
  }

  /**
   * Renews the leases that are held, all at once; the answer has the models that still are. One that is acquired
   * meanwhile stays as it is, and one whose release did not get through is not renewed, so that it ends. Renewals may overtake
   * each other: where an answer is lost, the next one asks beside it.
   */
  async renew(): Promise<Set<string>> {
    const asked = performance.now()
    const before = [...this.#held]
    if (before.length > 0) {
      const renewed = await this.#renewals.query<{ model: string; epoch: number }>(
        `UPDATE model_lease SET expires_at = clock_timestamp() + make_interval(secs => $2)
          WHERE owner = $1 AND model = ANY($3) AND expires_at > clock_timestamp() RETURNING model, epoch`,
        [this.owner, LEASE_SECONDS, before.map(([model]) => model)],
      )
      const epochs = new Map(renewed.map(({ model, epoch }) => [model, epoch]))
      for (const [model, lease] of before) {
        if (epochs.get(model) === lease.epoch) lease.safeUntil = Math.max(lease.safeUntil, asked + SAFE_MS)
        else if (this.#held.get(model) === lease) this.#held.delete(model)
      }
    }
    return new Set(this.#held.keys())
  }

  /** Whether no other manager can have taken the model yet. */
  safe(model: string): boolean {
    return performance.now() < (this.#held.get(model)?.safeUntil ?? 0)
  }

  async release(model: string): Promise<void> {
    const lease = this.#held.get(model)
    if (!lease) return
    this.#held.delete(model)
    await this.#db.transaction(async tx => {
      await tx.query('DELETE FROM model_lease WHERE model = $1 AND owner = $2 AND epoch = $3', [
        model,
        this.owner,
        lease.epoch,
      ])
      await notifyModel(tx, model)
    })
    reach('lease.released')
  }
}

/** Ends the leases of a manager that is known to be dead. */
export async function releaseAll(db: Database, owner: string): Promise<void> {
  await db.query('DELETE FROM model_lease WHERE owner = $1', [owner])
}
