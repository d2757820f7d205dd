import { expect, test } from 'vitest'
import { migrate } from '../../src/jobs/migrate.ts'
import { signingKey } from '../../src/jobs/signing-key.ts'
import { Database } from '../../src/platform/postgres.ts'
import { quiet } from '../support/control.ts'
import { createDatabase } from '../support/postgres.ts'

/** Of a server that starts on the database. */
async function keyFor(url: string): Promise<Buffer> {
  await migrate(url, quiet)
  const db = new Database({ url, name: 'a server', connections: 1, onError: () => {} })
  try {
    await expect(db.query("INSERT INTO cursor_key (key) VALUES (decode(repeat('00', 32), 'hex'))")).rejects.toThrow()
    return Buffer.from(await signingKey(db))
  } finally {
    await db.close()
  }
}

test('all servers of a control database sign alike, those that come after them too, and no others', async () => {
  await using one = await createDatabase()
  await using other = await createDatabase()
  const key = await keyFor(one.url)
  expect(key).toHaveLength(32)
  expect(key.equals(await keyFor(one.url))).toBe(true)
  expect(key.equals(await keyFor(other.url))).toBe(false)
})
