import { hash } from 'node:crypto'
import type { Queryable } from '../platform/postgres.ts'

/** PostgreSQL's code for what the role may not do. */
const NOT_PERMITTED = '42501'

/**
 * What the cursors of this platform are signed with: the same in every server of a control database, and after every
 * restart. Nobody has to keep it: it is made of what the database got when it was made (which cluster it is in, and the
 * microsecond of its first migration), which no client is ever told. After a restore into another cluster, pages that
 * somebody was in the middle of are begun anew.
 */
export async function cursorKey(db: Queryable): Promise<Uint8Array> {
  const [first] = await db.query<{ name: string; made: string }>(
    'SELECT name, extract(epoch FROM run_on)::text AS made FROM migration ORDER BY id LIMIT 1',
  )
  if (!first) throw new Error('the control database has not been migrated')
  return hash('sha256', JSON.stringify(['cursors', await clusterId(db), first.name, first.made]), 'buffer')
}

/** Whoever runs the database may keep it to himself; then it is for nobody. */
async function clusterId(db: Queryable): Promise<string | null> {
  try {
    const [cluster] = await db.query<{ id: string }>('SELECT system_identifier::text AS id FROM pg_control_system()')
    return cluster?.id ?? null
  } catch (error) {
    if ((error as { code?: unknown } | null)?.code === NOT_PERMITTED) return null
    throw error
  }
}
