import { setTimeout as wait } from 'node:timers/promises'
import type { Database } from '../../src/platform/postgres.ts'

/** Settles when at least `count` statements on this database wait for a lock. */
export async function untilWaiting(db: Database, count = 1): Promise<void> {
  for (; ; await wait(5)) {
    const waiting = await db.query(
      `SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`,
    )
    if (waiting.length >= count) return
  }
}
