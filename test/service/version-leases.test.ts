import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { ALL } from '../../src/engine/plan.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { type OpenSnapshot, OpenVersions, type OpenVersionsDeps } from '../../src/jobs/open-versions.ts'
import type { Version } from '../../src/jobs/records.ts'
import { Database } from '../../src/platform/postgres.ts'
import { manifestOf } from '../support/archives.ts'
import { quiet } from '../support/control.ts'
import { untilWaiting } from '../support/locks.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged()
})
afterAll(() => managed[Symbol.asyncDispose]())

/** Versions as another process would have them open, with a clock of its own that stands still until it is moved. */
function process(deps: Partial<OpenVersionsDeps> = {}) {
  const clock = { now: 0 }
  const { db, kinds, engines, dataDir } = managed
  const versions = new OpenVersions({ db, kinds, engines, dataDir, log: quiet, now: () => clock.now, ...deps })
  onTestFinished(() => versions.close())
  return { versions, clock }
}

/** A model at version 1, with nobody who publishes; from `outdate` on version 1 is not among the newest. */
async function modelAtVersion1(): Promise<{ id: string; version: Version; outdate(): Promise<unknown> }> {
  const { id } = await managed.models.create({ kind: 'sales' })
  const manager = managed.startManager()
  await manager.hold(id)
  await managed.run(id, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  await manager.close()
  const version = await managed.snapshots.find(id, { version: 1 }, 0)
  return { id, version, outdate: () => managed.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [id]) }
}

const isKept = async ({ model, version }: Version) => {
  const [row] = await managed.db.query<{ kept: boolean }>(
    'SELECT kept FROM model_version WHERE model = $1 AND version = $2',
    [model, version],
  )
  return row?.kept
}

/** What becomes of the leases of processes that have not renewed them: this one's renew on the real clock. */
const endLeases = () => managed.db.query('DELETE FROM version_reader')

const orderBy = [{ column: 'orderId', direction: 'ASC', nulls: 'LAST' } as const]
const orders = async ({ reader }: OpenSnapshot) =>
  (await reader.rows({ table: 'sales', columns: ['orderId'], where: ALL, orderBy, limit: 10 })).map(
    ({ orderId }) => orderId,
  )

test('a version that a process has open is kept, and goes when it is closed', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions } = process()
  const open = await versions.open(version)
  await outdate()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(true)
  expect(await orders(open)).toEqual(['A'])
  open.release()
  await versions.close()
  expect(await managed.db.query('SELECT FROM version_lease WHERE model = $1', [version.model])).toEqual([])
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(false)
})

test('a version that is let go as it is being opened is not opened', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions } = process()
  // Registers the process, so that the lease is all that is left to be written.
  ;(await versions.open(await managed.snapshots.find(version.model, { version: 0 }, 0))).release()
  await outdate()
  const gate = Promise.withResolvers<void>()
  const locked = Promise.withResolvers<void>()
  const going = managed.db.transaction(async tx => {
    await tx.query('SELECT FROM model_version WHERE model = $1 AND version = 1 FOR NO KEY UPDATE', [version.model])
    locked.resolve()
    await gate.promise
    await tx.query('UPDATE model_version SET kept = false WHERE model = $1 AND version = 1', [version.model])
  })
  await locked.promise
  const opening = versions.open(version)
  opening.catch(() => {})
  await untilWaiting(managed.db)
  gate.resolve()
  await going
  await expect(opening).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  expect(await managed.db.query('SELECT FROM version_lease WHERE model = $1 AND version = 1', [version.model])).toEqual(
    [],
  )
})

test('a process that was frozen past its lease is refused what it read of a version that was let go meanwhile', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions, clock } = process()
  const open = await versions.open(version)
  await outdate()
  await endLeases()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(false)
  clock.now += 9000
  await expect(orders(open)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  await expect(open.check()).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  open.release()
  await expect(versions.open(version)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
})

test('a process on a machine that slept past its lease, its clock standing still, is refused what was let go meanwhile', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions } = process()
  const open = await versions.open(version)
  await outdate()
  await endLeases()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(false)
  // Only the clock on the wall has gone on.
  const { now } = Date
  const wall = vi.spyOn(Date, 'now').mockImplementation(() => now() + 9000)
  onTestFinished(() => wall.mockRestore())
  await expect(orders(open)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  await expect(open.check()).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
})

test('a process that was frozen past its lease goes on with a version that is still kept, leased anew', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions, clock } = process()
  const open = await versions.open(version)
  await endLeases()
  clock.now += 9000
  expect(await Promise.all([orders(open), orders(open), open.check()])).toEqual([['A'], ['A'], undefined])
  await outdate()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(true)
  expect(await managed.db.query('SELECT FROM version_lease WHERE model = $1', [version.model])).toHaveLength(1)
})

test('a process that only comes late to renew has lost nothing', async () => {
  const { version, outdate } = await modelAtVersion1()
  const { versions, clock } = process()
  const open = await versions.open(version)
  const leases = () => managed.db.query('SELECT id FROM version_lease WHERE model = $1', [version.model])
  const before = await leases()
  await managed.db.query(`UPDATE version_reader SET expires_at = clock_timestamp() - interval '1 second'`)
  clock.now += 9000
  expect(await orders(open)).toEqual(['A'])
  expect(await leases()).toEqual(before)
  await outdate()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(true)
})

test('while the database is away, what is open is served as long as its files are there', async () => {
  const { version, outdate } = await modelAtVersion1()
  let isAway = false
  await using proxy = await startTcpProxy(managed.url, () => (isAway ? 'cut' : 'pass'))
  const url = new URL(managed.url)
  url.host = new URL(proxy.url).host
  const db = new Database({ url: url.href, name: 'cut off', connections: 2, onError: () => {} })
  onTestFinished(() => db.close())
  const { versions, clock } = process({ db })
  const open = await versions.open(version)
  isAway = true
  clock.now += 9000
  expect(await orders(open)).toEqual(['A'])
  await outdate()
  await endLeases()
  await letGo(managed, version.model)
  expect(await isKept(version)).toBe(false)
  await expect(orders(open)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  isAway = false
})

test('many who hold a version share its lease, and each version has one of its own', async () => {
  const { version } = await modelAtVersion1()
  const { versions } = process()
  const open = await Promise.all([1, 2, 3].map(() => versions.open(version)))
  const leases = await managed.db.query('SELECT id FROM version_lease WHERE model = $1', [version.model])
  expect(leases).toHaveLength(1)
  for (const { release } of open) release()
})

test('the leases of a process that was killed end, and what it read goes', async () => {
  const { version, outdate } = await modelAtVersion1()
  await managed.db.query(
    `WITH reader AS (INSERT INTO version_reader (id, expires_at) VALUES ($2, clock_timestamp()) RETURNING id)
     INSERT INTO version_lease (id, reader, model, version) SELECT $2, id, $1, 1 FROM reader`,
    [version.model, crypto.randomUUID()],
  )
  await outdate()
  // Not before those who could not reach a server that has just been started have had their turn.
  await expect
    .poll(
      async () => {
        await letGo(managed, version.model)
        return isKept(version)
      },
      { timeout: 30_000, interval: 100 },
    )
    .toBe(false)
})

test('a version that is being archived is kept until that is done, however many are published meanwhile', async () => {
  const { id } = await managed.models.create({ kind: 'sales' })
  const gate = Promise.withResolvers<void>()
  const reached = Promise.withResolvers<void>()
  const objects = new Proxy(managed.objects, {
    get(store, name) {
      const value = Reflect.get(store, name)
      if (name !== 'putFile') return typeof value === 'function' ? value.bind(store) : value
      return async (...args: Parameters<typeof store.putFile>) => {
        reached.resolve()
        await gate.promise
        return store.putFile(...args)
      }
    },
  })
  await managed.startManager({ objects }).hold(id)
  const append = (orderId: string) => managed.run(id, 'appendSales', { rows: [sale({ orderId })] })
  await append('A')
  await reached.promise
  for (const order of ['B', 'C', 'D', 'E']) await append(order)
  const kept = async () => (await managed.snapshots.kept(id, 10, null)).map(({ version }) => version)
  await expect.poll(kept).toEqual([5, 4, 3, 1])
  gate.resolve()
  await expect.poll(kept).toEqual([5, 4, 3])
  expect(await manifestOf(managed, id, 1)).not.toBeNull()
})
