import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'

/** Any number, the same in every process. */
const OWNER_LOCK = 7_236_110_412
/** The database takes this long to notice that the process before us was killed. */
const PATIENCE_MS = 3000

/**
 * Holds the database for this process alone, until the answer is closed or the process ends, however it ends. Null where
 * another living process has it.
 */
export async function becomeSoleOwner(url: string): Promise<{ close(): Promise<void> } | null> {
  const client = new pg.Client({ connectionString: url, application_name: 'teatree owner', keepAlive: true })
  // The lock goes with the connection, and the connection with the database: whoever works on it is told by his own.
  client.on('error', () => {})
  await client.connect()
  for (const end = performance.now() + PATIENCE_MS; ; await wait(50)) {
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS locked', [OWNER_LOCK])
    if (rows[0].locked) return { close: () => client.end() }
    if (performance.now() > end) break
  }
  await client.end()
  return null
}
