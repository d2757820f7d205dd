import { afterAll, beforeAll, expect, test } from 'vitest'
import { Database } from '../../src/platform/postgres.ts'
import { untilWaiting } from '../support/locks.ts'
import { createDatabase, type TestDatabase } from '../support/postgres.ts'

let database: TestDatabase
let db: Database
let other: Database
beforeAll(async () => {
  database = await createDatabase()
  const open = (name: string) => new Database({ url: database.url, name, connections: 4, onError: () => {} })
  db = open('one')
  other = open('another')
  await other.query('CREATE TABLE note (id integer PRIMARY KEY)')
})
afterAll(async () => {
  await db.close()
  await other.close()
  await database[Symbol.asyncDispose]()
})

const terminate = (where: string, ...values: unknown[]) =>
  other.query(
    `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND ${where}`,
    values,
  )

test('a connection that is lost between two statements of a transaction fails the transaction, and nothing else', async () => {
  const lost = db.transaction(async tx => {
    await tx.query('INSERT INTO note VALUES (1)')
    const [backend] = await tx.query<{ pid: number }>('SELECT pg_backend_pid() AS pid')
    await terminate('pid = $1', backend?.pid)
    // Nothing is under way on the connection as its end is told.
    while ((await other.query('SELECT FROM pg_stat_activity WHERE pid = $1', [backend?.pid])).length > 0);
    await tx.query('INSERT INTO note VALUES (2)')
  })
  await expect(lost).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await db.query('SELECT id FROM note')).toEqual([])
})

test('a transaction in which an error was swallowed is not taken for committed', async () => {
  const swallowed = db.transaction(async tx => {
    await tx.query('INSERT INTO note VALUES (3)')
    await tx.query('SELECT nonsense').catch(() => {})
  })
  await expect(swallowed).rejects.toThrow('rolled back')
  expect(await db.query('SELECT id FROM note')).toEqual([])
})

test('a statement that comes after its transaction has failed is not run outside of it', async () => {
  const failed = Promise.withResolvers<void>()
  let late: Promise<unknown> | undefined
  const broken = db.transaction(async tx => {
    late = failed.promise.then(() => tx.query('CREATE TABLE of_nobody ()'))
    await Promise.all([tx.query('SELECT 1 / 0'), late])
  })
  await expect(broken).rejects.toThrow('division by zero')
  failed.resolve()
  await expect(late).rejects.toThrow('the transaction is over')
  expect(await db.query(`SELECT FROM pg_tables WHERE tablename = 'of_nobody'`)).toEqual([])
})

test('what waited too long for a lock, or fell to a deadlock, may be tried again', async () => {
  await other.query('INSERT INTO note VALUES (10), (11)')
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const holding = other.transaction(async tx => {
    await tx.query('SELECT FROM note WHERE id = 10 FOR UPDATE')
    locked.resolve()
    await gate.promise
    await tx.query('SELECT FROM note WHERE id = 11 FOR UPDATE')
  })
  await locked.promise
  const late = db.transaction(async tx => {
    await tx.query('SET LOCAL statement_timeout = 1')
    await tx.query('SELECT FROM note WHERE id = 10 FOR UPDATE')
  })
  await expect(late).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const crossing = db.transaction(async tx => {
    await tx.query('SELECT FROM note WHERE id = 11 FOR UPDATE')
    await tx.query('SELECT FROM note WHERE id = 10 FOR UPDATE')
  })
  const outcomes = Promise.allSettled([holding, crossing])
  await untilWaiting(other)
  gate.resolve()
  const failed = (await outcomes).filter(outcome => outcome.status === 'rejected')
  expect(failed).toMatchObject([{ reason: { code: 'UNAVAILABLE' } }])
})

test('notices come again after the listening connection was lost, and the gap is told', async () => {
  const notices: string[] = []
  let heard = Promise.withResolvers<void>()
  let gap = Promise.withResolvers<void>()
  const stop = await db.listen(
    'notes',
    payload => {
      notices.push(payload)
      heard.resolve()
    },
    () => gap.resolve(),
  )
  await gap.promise
  for (const payload of ['first', 'second', 'third']) {
    heard = Promise.withResolvers()
    await other.query(`SELECT pg_notify('notes', $1)`, [payload])
    await heard.promise
    gap = Promise.withResolvers()
    await terminate(`query LIKE 'LISTEN%'`)
    await gap.promise
  }
  expect(notices).toEqual(['first', 'second', 'third'])
  stop()
})

test('what a transaction itself throws is not taken for a lost database, whatever its words', async () => {
  const refused = new Error('the lease of terminated-1 is about to end')
  await expect(
    db.transaction(async () => {
      throw refused
    }),
  ).rejects.toBe(refused)
})
