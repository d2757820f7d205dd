import { expect, test } from 'vitest'
import { migrate } from '../../src/jobs/migrate.ts'
import { signingKey } from '../../src/jobs/signing-key.ts'
import { Database } from '../../src/platform/postgres.ts'
import { openControl, quiet } from '../support/control.ts'

test('all servers of a control database sign alike, those that come after them too, and no others', async () => {
  await using one = await openControl()
  await using other = await openControl()
  const key = Buffer.from(await signingKey(one.db))
  expect(key).toHaveLength(32)
  const again = new Database({ url: one.url, name: 'another server', connections: 1, onError: () => {} })
  try {
    await migrate(one.url, quiet)
    expect(key.equals(await signingKey(again))).toBe(true)
  } finally {
    await again.close()
  }
  expect(key.equals(await signingKey(other.db))).toBe(false)
  await expect(one.db.query("INSERT INTO cursor_key (key) VALUES (decode(repeat('00', 32), 'hex'))")).rejects.toThrow()
})
