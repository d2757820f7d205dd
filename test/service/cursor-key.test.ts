import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { cursorKey } from '../../src/jobs/cursor-key.ts'
import { migrate } from '../../src/jobs/migrate.ts'
import { Database } from '../../src/platform/postgres.ts'
import { openControl, quiet } from '../support/control.ts'

test('all servers of a control database sign alike, those that come after them too, and no others', async () => {
  await using one = await openControl()
  await using other = await openControl()
  const key = Buffer.from(await cursorKey(one.db))
  expect(key).toHaveLength(32)
  const again = new Database({ url: one.url, name: 'another server', connections: 1, onError: () => {} })
  try {
    await migrate(one.url, quiet)
    expect(key.equals(await cursorKey(again))).toBe(true)
  } finally {
    await again.close()
  }
  expect(key.equals(await cursorKey(other.db))).toBe(false)
})

test('where the role may not ask for the cluster, the key is made without', async () => {
  await using control = await openControl()
  const role = `curious_${randomUUID().replaceAll('-', '')}`
  await control.db.query(`CREATE ROLE ${role} LOGIN PASSWORD 'curious'`)
  await control.db.query(`GRANT SELECT ON migration TO ${role}`)
  await control.db.query('REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC')
  const url = Object.assign(new URL(control.url), { username: role, password: 'curious' }).href
  const db = new Database({ url, name: 'test', connections: 1, onError: () => {} })
  try {
    await expect(db.query('SELECT pg_control_system()')).rejects.toMatchObject({ code: '42501' })
    expect(await cursorKey(db)).toHaveLength(32)
  } finally {
    await db.close()
    await control.db.query(`DROP OWNED BY ${role}`)
    await control.db.query(`DROP ROLE ${role}`)
  }
})
