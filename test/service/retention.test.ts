import { execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdir, readdir, utimes } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Housekeeper } from '../../src/jobs/housekeeper.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { letGo, removeStrays } from '../../src/jobs/let-go.ts'
import { pinVersion } from '../../src/jobs/pins.ts'
import { Publisher } from '../../src/jobs/publish.ts'
import { pin } from '../../src/jobs/reads.ts'
import { removeAbandoned } from '../../src/jobs/retention.ts'
import type { Transaction } from '../../src/platform/postgres.ts'
import { quiet } from '../support/control.ts'
import { untilWaiting } from '../support/locks.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { mounted } from '../support/small-disk.ts'
import { takenBatch } from '../support/taken-batch.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged()
})
afterAll(() => managed[Symbol.asyncDispose]())

/** A model at version 1, and the statement that moves it on to version 9 without a manager that lets versions go. */
async function modelAtVersion1(): Promise<string> {
  const { id } = await managed.models.create({ kind: 'sales' })
  const manager = managed.startManager()
  await manager.hold(id)
  await managed.run(id, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  // One that goes on lets versions go, too.
  await manager.close()
  await managed.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [id])
  return id
}

const kept = async (model: string) => (await managed.snapshots.kept(model, 10, null)).map(({ version }) => version)

/** Lets versions go while `pinning` has done its work and not yet committed. */
async function letGoBeside(model: string, pinning: (tx: Transaction) => Promise<unknown>): Promise<void> {
  const gate = Promise.withResolvers<void>()
  const pinned = Promise.withResolvers<void>()
  const transaction = managed.db.transaction(async tx => {
    await pinning(tx)
    pinned.resolve()
    await gate.promise
  })
  await Promise.race([pinned.promise, transaction])
  const lettingGo = letGo(managed, model)
  await untilWaiting(managed.db)
  gate.resolve()
  await transaction
  await lettingGo
}

test('a version that is being pinned as versions are let go is kept', async () => {
  const model = await modelAtVersion1()
  await letGoBeside(model, tx => pinVersion(tx, model, 1, 'audit'))
  expect(await kept(model)).toEqual([1])
})

test('a version that an intent is about to read as versions are let go is kept', async () => {
  const model = await modelAtVersion1()
  const reader = await managed.models.create({ kind: 'goals', reads: [model] })
  const intent = await managed.ledger.submit({
    model: reader.id,
    function: 'refreshActuals',
    arguments: {},
    alone: true,
  })
  await letGoBeside(model, tx => pin(tx, intent.id, [{ alias: 'source', model, version: 1 }]))
  expect(await kept(model)).toEqual([1])
})

test('a version whose files cannot be removed keeps no other, and its files go when they can', async ({ skip }) => {
  const { id: model } = await managed.models.create({ kind: 'sales' })
  const manager = managed.startManager()
  await manager.hold(model)
  for (const orderId of ['A', 'B', 'C']) await managed.run(model, 'appendSales', { rows: [sale({ orderId })] })
  await manager.close()
  const versions = join(managed.dataDir, 'models', model, 'versions')
  const first = join(versions, '1-1')
  if (!mounted(first, 'size=64k')) skip('this user cannot mount a disk')
  const unmount = () => execFileSync('umount', [first])
  onTestFinished(() => {
    if (readFileSync('/proc/mounts', 'utf8').includes(first)) unmount()
  })
  await managed.db.query('UPDATE goal_model SET version = 9 WHERE id = $1', [model])
  await expect(letGo(managed, model)).rejects.toMatchObject({ code: 'EBUSY' })
  expect([await kept(model), await readdir(versions)]).toEqual([[], ['1-1']])
  unmount()
  await removeStrays(managed)
  expect(await readdir(versions)).toEqual([])
})

test('a scenario begins with the version that it was made from, however many its source has published since', async () => {
  const { id: source } = await managed.models.create({ kind: 'sales' })
  await managed.startManager().hold(source)
  await managed.run(source, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  const { id: scenario } = await managed.models.create({ kind: 'sales', from: { model: source } })
  for (const orderId of ['B', 'C', 'D', 'E']) await managed.run(source, 'appendSales', { rows: [sale({ orderId })] })
  await letGo(managed, source)
  await managed.startManager().hold(scenario)
  const [copy] = await managed.ledger.intents({ model: scenario }, { limit: 1 })
  expect(await managed.ended(copy?.id ?? '')).toMatchObject({ status: 'PUBLISHED' })
  expect(await managed.ledger.reads(copy?.id ?? '')).toEqual([{ model: source, version: 1 }])
})

test('a scenario of an empty model is empty, and goals of no sales say that they have no basis', async () => {
  const { id: source } = await managed.models.create({ kind: 'sales' })
  const { id: scenario } = await managed.models.create({ kind: 'sales', from: { model: source } })
  const { id: goals } = await managed.models.create({ kind: 'goals', reads: [source] })
  const manager = managed.startManager()
  for (const model of [scenario, goals]) await manager.hold(model)
  const [copy] = await managed.ledger.intents({ model: scenario }, { limit: 1 })
  expect(await managed.ended(copy?.id ?? '')).toMatchObject({ status: 'PUBLISHED', version: 1 })
  const period = (from: string, to: string) => ({ from: `${from}-01-01`, to: `${to}-01-01` })
  const input = {
    salesModel: source,
    basisPeriod: period('2024', '2025'),
    goalPeriod: period('2025', '2026'),
    grain: [],
  }
  expect(await managed.run(goals, 'computeGoals', input)).toMatchObject({
    status: 'FAILED',
    error: { code: 'NO_BASIS' },
  })
})

test('a scenario of a model that was deleted meanwhile fails, and its line goes on', async () => {
  const { id: source } = await managed.models.create({ kind: 'sales' })
  const { id: scenario } = await managed.models.create({ kind: 'sales', from: { model: source } })
  await managed.models.delete(source)
  await managed.startManager().hold(scenario)
  const [copy] = await managed.ledger.intents({ model: scenario }, { limit: 1 })
  expect(await managed.ended(copy?.id ?? '')).toMatchObject({ status: 'FAILED', error: { code: 'SNAPSHOT_GONE' } })
  expect(await managed.run(scenario, 'appendSales', { rows: [sale({ orderId: 'A' })] })).toMatchObject({ version: 1 })
})

test('what a killed manager has left goes, and what one that lives has stays', async () => {
  const { id: left } = await managed.models.create({ kind: 'sales' })
  const { id: held } = await managed.models.create({ kind: 'sales' })
  await managed.startManager().hold(held)
  await managed.run(held, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  const folder = (model: string) => join(managed.dataDir, 'models', model)
  for (const name of ['scratch/7/bases', 'rebuild/7', 'archive/7', 'versions/1-7'])
    await mkdir(join(folder(left), name), { recursive: true })
  await removeAbandoned(managed)
  const there = async (model: string, name: string) => readdir(join(folder(model), name))
  expect(await Promise.all(['scratch', 'rebuild', 'archive', 'versions'].map(name => there(left, name)))).toEqual([
    [],
    [],
    [],
    ['1-7'],
  ])
  expect(await there(held, 'scratch')).toEqual(['1'])
})

test('a manager that only stood still, and whose files are removed, ends nothing any more', async () => {
  const { id: model, kind: name } = await managed.models.create({ kind: 'sales' })
  const intent = await managed.submitter.submit({
    model,
    function: 'appendSales',
    arguments: { rows: [sale({ orderId: 'A' })] },
  })
  const epoch = (await new Leases(managed.db, randomUUID()).acquire(model)) ?? 0
  await takenBatch(managed.db, { model, epoch, singly: false })
  const scratch = join(managed.dataDir, 'models', model, 'scratch')
  await mkdir(join(scratch, String(epoch)), { recursive: true })
  await removeAbandoned(managed)
  expect(await readdir(scratch)).toEqual([String(epoch)])
  await managed.db.query(`UPDATE model_lease SET expires_at = now() - interval '1s' WHERE model = $1`, [model])
  await removeAbandoned(managed)
  expect(await readdir(scratch)).toEqual([])
  const kind = managed.kinds.get(name)
  if (!kind) throw new Error('the kinds were not loaded')
  const error = { code: 'INTERNAL', message: 'files are gone', cells: [], details: {} } as const
  const endings = [{ intent: intent.id, status: 'FAILED', error }] as const
  const failing = new Publisher(managed).publish({ model, kind, epoch, after: 0, endings, lastSeq: 1n, snapshot: null })
  await expect(failing).rejects.toThrow('no longer held')
  await managed.startManager().hold(model)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 1 })
})

test('what killed processes have left of queries goes by its age while servers run, and what is young stays', async () => {
  const folder = join(managed.dataDir, 'left-of-queries')
  for (const name of ['old', 'young']) await mkdir(join(folder, name), { recursive: true })
  await utimes(join(folder, 'old'), 0, 0)
  const queries = { folder, seconds: 3600 }
  const housekeeper = new Housekeeper({ ...managed, completions: { entries: 1000, days: 7 }, queries, log: quiet })
  onTestFinished(() => housekeeper.close())
  housekeeper.start()
  await expect.poll(() => readdir(folder)).toEqual(['young'])
})
