import { setTimeout as timer } from 'node:timers/promises'
import type { Database } from '../platform/postgres.ts'
import { notifyChanged } from './channel.ts'
import type { Intent } from './records.ts'

/** Progress is written at most this often per intent. */
const MIN_INTERVAL_MS = 200
const wait = (ms: number): Promise<unknown> => timer(ms, undefined, { ref: false })

/**
 * Writes down where an intent is, behind its back: a step is a courtesy to those who watch, and one that could not be
 * written is neither waited for nor an error. One is written after the other, the newest each time: before a long pause
 * that is the last.
 *
 *   read ─▶ written ── 200 ms ──▶ "sort" written ── 200 ms ──▶ nothing new
 *             └ check, sort come in
 */
export function stepReporter(db: Database, intent: Pick<Intent, 'id'>, pause = wait) {
  let newest: { step: string; progress: number | null } | null = null
  let isWriting = false
  const writeAll = async () => {
    isWriting = true
    while (newest) {
      const { step, progress } = newest
      newest = null
      await write(db, intent.id, step, progress).catch(() => {})
      await pause(MIN_INTERVAL_MS)
    }
    isWriting = false
  }
  return (step: string, progress: number | null): void => {
    newest = { step, progress }
    if (!isWriting) void writeAll()
  }
}

const write = (db: Database, id: string, step: string, progress: number | null): Promise<void> =>
  db.transaction(async tx => {
    const written = await tx.query(
      `UPDATE intent SET step = $2, progress = $3 WHERE id = $1 AND status = 'RUNNING' RETURNING id`,
      [id, step, progress],
    )
    if (written.length > 0) await notifyChanged(tx, id)
  })
