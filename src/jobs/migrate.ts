import { fileURLToPath } from 'node:url'
import { runner } from 'node-pg-migrate'
import pg from 'pg'
import type { Log } from '../platform/log.ts'
import { installQueue } from './queue.ts'

/** Any number, the same in every process: who holds it migrates, the others wait. */
const MIGRATION_LOCK = 7_236_110_411

/**
 * Brings the control database to this release: pg-boss's schema, then ours. Forward only, and safe when several
 * processes start at once: one migrates, the others wait for it and find nothing left to do.
 */
export async function migrate(url: string, log: Log): Promise<void> {
  const client = new pg.Client({ connectionString: url, application_name: 'teatree migrate' })
  await client.connect()
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK])
    await installQueue(url)
    const quiet = () => {}
    const done = await runner({
      dbClient: client,
      dir: fileURLToPath(new URL('../../migrations', import.meta.url)),
      migrationsTable: 'migration',
      direction: 'up',
      // The lock above waits; the library's own gives up at once.
      noLock: true,
      checkOrder: true,
      logger: { info: quiet, warn: line => log.warn(line), error: line => log.error(line) },
    })
    for (const { name } of done) log.info({ migration: name }, 'migrated')
  } finally {
    await client.end()
  }
}
