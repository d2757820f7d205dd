import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'

/** Any number, the same in every process. */
const OWNER_LOCK = 7_236_110_412
/** The database takes this long to notice that the process before us was killed. */
const PATIENCE_MS = 3000

/** The one process that works on a database of our own. */
export interface Owner {
  /** Resolves when it is so no longer: its connection has ended, and the lock with it, whoever ended it. */
  readonly lost: Promise<void>
  close(): Promise<void>
}

/** Holds the database for this process alone, until its connection ends. Null where another living process has it. */
export async function becomeSoleOwner(url: string): Promise<Owner | null> {
  const client = new pg.Client({ connectionString: url, application_name: 'teatree owner', keepAlive: true })
  const lost = new Promise<void>(resolve => client.once('end', resolve))
  client.on('error', () => {}) // the connection's end says it
  await client.connect()
  for (const end = performance.now() + PATIENCE_MS; ; await wait(50)) {
    const { rows } = await client.query('SELECT pg_try_advisory_lock($1) AS locked', [OWNER_LOCK])
    if (rows[0].locked) return { lost, close: () => client.end() }
    if (performance.now() > end) break
  }
  await client.end()
  return null
}
