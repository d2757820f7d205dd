import type { Queryable } from '../platform/postgres.ts'

/**
 * What this platform signs cursors and links with: 32 bytes, the same in every server of a control database, and after
 * every restart and restore. The database made them at random when it was migrated, and keeps them.
 */
export async function signingKey(db: Queryable): Promise<Uint8Array> {
  const [found] = await db.query<{ key: Buffer }>('SELECT key FROM cursor_key')
  if (!found) throw new Error('the control database has no key to sign with')
  return found.key
}
