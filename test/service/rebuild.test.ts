import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { listContent } from '../../src/jobs/content.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { markLost } from '../../src/jobs/lost.ts'
import { pinVersion, releaseVersion } from '../../src/jobs/pins.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { nobodysStore } from '../support/object-stores.ts'
import { sale } from '../support/sales-model.ts'

const appendSites = (ids: string[]) => ids.map(siteId => ({ siteId, name: `Site ${siteId}`, region: null }))
const csv = (text: string) =>
  (async function* () {
    yield Buffer.from(text)
  })()

test('without its disk a model is served again from its archive, row for row, and takes the next intent', async () => {
  await using jobs = await openLosable()
  const { id } = await jobs.models.create({ kind: 'sales' })
  const first = jobs.startManager()
  await first.hold(id)
  await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'A' }), sale({ orderId: 'B', salespersonId: null })] })
  await jobs.run(id, 'upsertSites', { rows: appendSites(['S1', 'Zürich']) })
  await jobs.archived(id)
  await first.close()
  const before = await jobs.rows(id)
  expect(before).toMatchObject({ version: 2, lastSeq: 2n })

  await jobs.loseDisk()
  await expect(jobs.rows(id, undefined, 0)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await jobs.startManager().hold(id)
  expect(await jobs.rows(id)).toEqual(before)
  expect(await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'C' })] })).toMatchObject({ version: 3, seq: 3n })
  expect((await jobs.rows(id)).tables.sales).toHaveLength(3)
  // What was not needed any more is not there to be read any more.
  await expect(jobs.rows(id, { version: 1 }, 0)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
})

test('what the archive does not hold yet is applied again from the ledger: writes, imports, and what failed left out', async () => {
  await using jobs = await openLosable()
  const { id } = await jobs.models.create({ kind: 'sales' })
  const first = jobs.startManager()
  await first.hold(id)
  await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  await jobs.archived(id)
  const there = await jobs.withoutStore(id)
  const upload = await jobs.uploads.receive(csv('siteId,name\nS1,one\nS2,two\n'), {})
  const source = { upload: { id: upload.id } }
  expect(await jobs.run(id, 'importSites', { mode: 'APPEND', source })).toMatchObject({ version: 2 })
  expect(await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'A' })] })).toMatchObject({ status: 'FAILED' })
  await jobs.run(id, 'updateSales', { where: { orderId: { eq: 'A' } }, set: { amount: '7.25' } })
  await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'B' })] })
  await first.close()
  const before = await jobs.rows(id)
  expect(await jobs.models.get(id)).toMatchObject({ version: 4, archivedVersion: 1 })
  await there()

  await jobs.loseDisk()
  const second = jobs.startManager()
  await second.hold(id)
  expect(await jobs.rows(id)).toEqual(before)
  expect(await jobs.models.get(id)).toMatchObject({ version: 4, lastSeq: 5n, blocked: null })
  await jobs.archived(id)
  await second.close()

  await jobs.loseDisk()
  await jobs.startManager().hold(id)
  expect(await jobs.rows(id)).toEqual(before)
})

test('goals that were computed from older sales than there are now come out the same', async () => {
  await using jobs = await openLosable()
  const { id: sales } = await jobs.models.create({ kind: 'sales' })
  const { id: goals } = await jobs.models.create({ kind: 'goals', reads: [sales] })
  const first = jobs.startManager()
  for (const model of [sales, goals]) await first.hold(model)
  const sell = (orderId: string, amount: string) =>
    jobs.run(sales, 'appendSales', { rows: [sale({ orderId, amount, siteId: `S${orderId.length}` })] })
  await sell('A', '100.00')
  const follows = async (version: number) => {
    const isThere = async () => {
      const [run] = await jobs.ledger.intents({ model: goals, status: ['PUBLISHED'] }, { limit: 1 })
      return run !== undefined && (await jobs.ledger.reads(run.id)).some(read => read.version === version)
    }
    expect(await comesTrue(isThere)).toBe(true)
  }
  await follows(1)
  for (const model of [sales, goals]) await jobs.archived(model)
  const there = [await jobs.withoutStore(sales), await jobs.withoutStore(goals)]
  await sell('BB', '250.10')
  await follows(2)
  const input = {
    salesModel: sales,
    grain: ['SITE'],
    interval: 'QUARTER',
    basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
    goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
    total: '4000',
  }
  expect(await jobs.run(goals, 'computeGoals', input)).toMatchObject({ status: 'PUBLISHED' })
  await first.release(goals)
  for (const orderId of ['CCC', 'DDDD', 'EEEEE', 'FFFFFF']) await sell(orderId, '9.99')
  await first.close()
  for (const again of there) await again()
  const before = [await jobs.rows(sales), await jobs.rows(goals)]
  const [computed] = await jobs.ledger.intents({ model: goals, function: 'computeGoals' }, { limit: 1 })
  expect(await jobs.ledger.reads(computed?.id ?? '')).toEqual([{ model: sales, version: 2 }])
  expect(before[0]?.version).toBe(6)

  await jobs.loseDisk()
  // The goals alone, before there is anything of the sales model on this disk.
  const second = jobs.startManager()
  const queued = (await jobs.models.managers([goals]))[0]?.queued ?? 0
  await second.hold(goals)
  expect(await jobs.rows(goals, { version: before[1]?.version ?? 0 })).toEqual(before[1])
  await second.hold(sales)
  expect(await jobs.rows(sales)).toEqual(before[0])
  // The trigger that waited reads the newest sales, once they are there again.
  expect(queued).toBe(1)
  await follows(6)
  expect(await jobs.run(goals, 'computeGoals', input)).toMatchObject({ status: 'PUBLISHED' })
  expect(await jobs.ledger.countIntents({ status: ['FAILED', 'PARKED'] })).toBe(0)
})

test('a pinned version is archived for itself, and served again from there', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id } = await jobs.models.create({ kind: 'trial' })
  const first = jobs.startManager()
  await first.hold(id)
  const append = (entryId: string) => jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
  await append('A')
  await append('B')
  await pinVersion(jobs.db, id, 1, 'audit')
  for (const entry of ['C', 'D', 'E', 'F']) await append(entry)
  await jobs.archived(id)
  const hasOwn = async () =>
    (await jobs.db.query(`SELECT FROM archive WHERE model = $1 AND version = 1 AND state = 'THERE'`, [id])).length > 0
  expect(await comesTrue(hasOwn)).toBe(true)
  const before = [await jobs.rows(id, { version: 1 }), await jobs.rows(id)]
  await first.close()

  await jobs.loseDisk()
  await jobs.startManager().hold(id)
  expect([await jobs.rows(id, { version: 1 }), await jobs.rows(id)]).toEqual(before)
  expect((await jobs.snapshots.kept(id, 10, null)).map(({ version }) => version)).toEqual([6, 1])
})

test('while the store is away the model is BLOCKED and says so; no intent fails, and it goes on by itself', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id } = await jobs.models.create({ kind: 'trial' })
  const first = jobs.startManager()
  await first.hold(id)
  await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId: 'A', note: null }] })
  await jobs.archived(id)
  await first.close()
  await jobs.loseDisk()
  const intent = await jobs.submitter.submit({
    model: id,
    function: 'appendTrialEntries',
    arguments: { rows: [{ entryId: 'B', note: null }] },
  })

  const nobody = await nobodysStore()
  const away = jobs.startManager({ objects: nobody })
  await away.hold(id)
  const isBlocked = async () => (await jobs.models.get(id))?.blocked?.code === 'UNAVAILABLE'
  expect(await comesTrue(isBlocked)).toBe(true)
  expect(await jobs.ledger.intent(intent.id)).toMatchObject({ status: 'QUEUED', attempts: 0 })
  await away.close()
  await nobody.close()
  await jobs.startManager().hold(id)
  expect(await jobs.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
  expect(await jobs.models.get(id)).toMatchObject({ blocked: null })
  expect((await jobs.rows(id)).tables.entries).toHaveLength(2)
})

/** The files of a version, as the content index has them. */
async function filesOf({ db }: Losable, model: string, version: number): Promise<string[]> {
  const content = await listContent(db, { model, version, form: 'DUCKDB' }, { limit: 10 })
  return content.map(({ uri }) => fileURLToPath(uri))
}

test('a file in which one bit has turned is not written on: the version is made again', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id } = await jobs.models.create({ kind: 'trial' })
  const append = (entryId: string) => jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: entryId }] })
  const first = jobs.startManager()
  await first.hold(id)
  await append('A')
  await append('B')
  await first.close()
  const before = await jobs.rows(id)
  const [path = ''] = await filesOf(jobs, id, 2)
  const bytes = await readFile(path)
  const middle = Math.floor(bytes.length / 2)
  bytes.writeUInt8(bytes.readUInt8(middle) ^ 1, middle)
  await rm(path)
  await writeFile(path, bytes)

  await jobs.startManager().hold(id)
  expect(await append('C')).toMatchObject({ version: 3 })
  expect((await filesOf(jobs, id, 2))[0]).not.toBe(path)
  expect(await jobs.rows(id, { version: 2 })).toEqual(before)
  expect((await jobs.rows(id)).tables.entries).toHaveLength(3)
})

test('a version whose files go while its model is held is made again for who asks for it', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id: source } = await jobs.models.create({ kind: 'trial' })
  await jobs.startManager().hold(source)
  const append = (entryId: string) => jobs.run(source, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
  await append('A')
  const { id: copy } = await jobs.models.create({ kind: 'trial', from: { model: source } })
  for (const entry of ['B', 'C', 'D', 'E']) await append(entry)
  const before = [await jobs.rows(source, { version: 1 }), await jobs.rows(source)]
  for (const version of [1, 5]) for (const path of await filesOf(jobs, source, version)) await rm(path)

  // Version 1 is kept for the copy alone, which waits for it.
  const manager = jobs.startManager()
  await manager.hold(copy)
  const [intent] = await jobs.ledger.intents({ model: copy }, { limit: 1 })
  expect(await jobs.ended(intent?.id ?? '')).toMatchObject({ status: 'PUBLISHED', version: 1 })
  expect((await jobs.rows(copy)).tables).toEqual(before[0]?.tables)
  expect(await jobs.rows(source)).toEqual(before[1])
  // Which of its rows came last nobody knows any more.
  const growth = async () => (await jobs.snapshots.find(source, null, 0)).tables.map(({ grownSince }) => grownSince)
  expect(new Set(await growth())).toEqual(new Set([undefined]))
  await append('F')
  expect(Math.max(...(await growth()).map(Number))).toBe(5)
  await jobs.archived(copy)
  await manager.close()

  // And the copy, once its archive is lost too, is made of a version that is kept no more.
  await jobs.db.query('DELETE FROM archive WHERE model = $1', [copy])
  for (const path of await filesOf(jobs, copy, 1)) await rm(path)
  // It is open here for a moment yet.
  const kept = async () => {
    await letGo(jobs, source)
    return (await jobs.snapshots.kept(source, 10, null)).map(({ version }) => version)
  }
  await expect.poll(kept).not.toContain(1)
  await expect(jobs.rows(source, { version: 1 }, 0)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
  await jobs.startManager().hold(copy)
  expect((await jobs.rows(copy)).tables).toEqual(before[0]?.tables)
})

test('a version that is let go while it is made again leaves nothing behind', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id } = await jobs.models.create({ kind: 'trial' })
  const append = (entryId: string) => jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
  const first = jobs.startManager()
  await first.hold(id)
  await append('A')
  await jobs.archived(id)
  await pinVersion(jobs.db, id, 1, 'audit')
  for (const entry of ['B', 'C', 'D', 'E']) await append(entry)
  await first.close()

  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const objects = new Proxy(jobs.objects, {
    get(store, name) {
      const value = Reflect.get(store, name)
      if (name !== 'getFile') return typeof value === 'function' ? value.bind(store) : value
      return async (...args: Parameters<typeof store.getFile>) => {
        reached.resolve()
        await gate.promise
        return store.getFile(...args)
      }
    },
  })
  await jobs.startManager({ objects }).hold(id)
  // It has its database open by now, and so has swept what was there before.
  await append('F')
  const version = await jobs.snapshots.find(id, { version: 1 }, 0)
  await markLost(jobs.db, version)
  await reached.promise
  await releaseVersion(jobs.db, id, 1, null)
  await letGo(jobs, id)
  gate.resolve()
  // Behind the version in the line.
  await append('G')
  const folders = await readdir(join(jobs.dataDir, 'models', id, 'versions'))
  expect(folders.filter(name => name.startsWith('1-'))).toEqual([])
  await expect(jobs.rows(id, { version: 1 }, 0)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
})

test('what is read of another model while a version is made again stays to be read, whatever becomes of it there', async () => {
  await using jobs = await openLosable({ kindsDir: TRIAL_KINDS })
  const { id: source } = await jobs.models.create({ kind: 'trial' })
  const { id: follower } = await jobs.models.create({ kind: 'trial', reads: [source] })
  const first = jobs.startManager()
  for (const model of [source, follower]) await first.hold(model)
  await jobs.run(source, 'appendTrialEntries', { rows: [{ entryId: 'A', note: null }] })
  const hasFollowed = async () => (await jobs.models.get(follower))?.version === 1
  expect(await comesTrue(hasFollowed)).toBe(true)
  await jobs.archived(follower)
  await first.close()
  const before = await jobs.rows(follower)
  // Of the ledger alone, then; and as it is archived, nothing of the source is kept for it.
  await jobs.db.query('DELETE FROM archive WHERE model = $1', [follower])
  await rm(join(jobs.dataDir, 'models', follower), { recursive: true })

  let applied = 0
  const lettingGo = (engine: Engine): Engine => ({
    ...engine,
    async openWriter(options) {
      const writer = await engine.openWriter(options)
      const apply = writer.apply.bind(writer)
      writer.apply = async (...work) => {
        applied += 1
        await jobs.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [source])
        await letGo(jobs, source)
        expect(await readdir(join(jobs.dataDir, 'models', source, 'versions'))).toEqual([])
        return apply(...work)
      }
      return writer
    },
  })
  const engines = new Map([...jobs.engines].map(([name, engine]) => [name, lettingGo(engine)]))
  await jobs.startManager({ engines }).hold(follower)
  expect(await jobs.rows(follower)).toEqual(before)
  expect(applied).toBe(1)
})
