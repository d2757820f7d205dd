import type { Database } from '../platform/postgres.ts'
import { notifyChanged } from './channel.ts'
import type { Intent } from './records.ts'

/** Progress is written at most this often per intent; the last step before a pause may be one that nobody saw. */
const MIN_INTERVAL_MS = 200

/**
 * Writes down where an intent is, behind its back: a step is a courtesy to those who watch, and one that could not be
 * written is neither waited for nor an error.
 */
export function stepReporter(db: Database, intent: Intent, now: () => number = () => performance.now()) {
  let last = Number.NEGATIVE_INFINITY
  return (step: string, progress: number | null): void => {
    if (now() - last < MIN_INTERVAL_MS) return
    last = now()
    db.transaction(async tx => {
      await tx.query(`UPDATE intent SET step = $2, progress = $3 WHERE id = $1 AND status = 'RUNNING'`, [
        intent.id,
        step,
        progress,
      ])
      await notifyChanged(tx, intent.id)
    }).catch(() => {})
  }
}
