import { TeatreeError } from '../platform/errors.ts'
import type { Database } from '../platform/postgres.ts'
import { notifyModel } from './channel.ts'
import { intentError } from './records.ts'
import { machineFault } from './surroundings.ts'

/**
 * A model is BLOCKED by a fault of its surroundings: it says why, and when it is tried again. Publishing ends that, and so
 * does a try that finds nothing left to do.
 */
export async function markBlocked(
  db: Database,
  of: { model: string; epoch: number; error: unknown; retryMs: number },
): Promise<void> {
  const reason = of.error instanceof TeatreeError ? of.error : (machineFault(of.error) ?? elseWrong())
  await db.transaction(async tx => {
    await tx.query(
      `UPDATE goal_model SET blocked = $3, retry_at = clock_timestamp() + make_interval(secs => $4) WHERE id = $1 AND epoch = $2`,
      [of.model, of.epoch, JSON.stringify(intentError(reason)), of.retryMs / 1000],
    )
    await notifyModel(tx, of.model)
  })
}

export async function clearBlocked(db: Database, { model, epoch }: { model: string; epoch: number }): Promise<void> {
  await db.transaction(async tx => {
    await tx.query('UPDATE goal_model SET blocked = NULL, retry_at = NULL WHERE id = $1 AND epoch = $2', [model, epoch])
    await notifyModel(tx, model)
  })
}

const elseWrong = () => new TeatreeError('UNAVAILABLE', 'The model cannot be written at the moment; it is tried again.')
