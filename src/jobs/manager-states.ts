import type { Database } from '../platform/postgres.ts'
import type { Model } from './records.ts'

/** What the manager of a model does: its lease, its line and its archive. */
export interface ManagerState {
  id: string
  state: 'IDLE' | 'STARTING' | 'RUNNING' | 'BLOCKED'
  reason: Model['blocked']
  retryAt: string | null
  epoch: number
  since: string | null
  queued: number
  archiveLag: number
}

/** SQL: how many versions of the model are not in the archive yet. */
export const archiveLag = (model: string): string => `${model}.version - ${model}.archived_version`

type Row = Omit<ManagerState, 'state' | 'reason'> & { leased: boolean; blocked: Model['blocked'] }

/**
 * One for each model, in no order. A deleted one is IDLE: a client that read it a moment before has not asked for more than
 * there is, and what it selects of other models is not to fail with it.
 */
export async function managerStates(db: Database, ids: readonly string[]): Promise<ManagerState[]> {
  const rows = await db.query<Row>(
    `SELECT m.id, m.epoch, m.blocked, m.retry_at AS "retryAt", l.since, l.model IS NOT NULL AS leased,
            (SELECT count(*)::integer FROM intent i WHERE i.model = m.id AND i.status IN ('QUEUED', 'RUNNING')) AS queued,
            ${archiveLag('m')} AS "archiveLag"
       FROM goal_model m LEFT JOIN model_lease l ON l.model = m.id AND l.expires_at > clock_timestamp()
      WHERE m.id = ANY($1)`,
    [ids],
  )
  return rows.map(({ leased, blocked, ...rest }) => {
    const state = blocked ? 'BLOCKED' : leased ? 'RUNNING' : rest.queued > 0 ? 'STARTING' : 'IDLE'
    return { ...rest, reason: blocked, state }
  })
}
