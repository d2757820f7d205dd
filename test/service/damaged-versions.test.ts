import { copyFile, open, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test } from 'vitest'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import type { Engine } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import { listContent } from '../../src/jobs/content.ts'
import { markLost } from '../../src/jobs/lost.ts'
import { OpenVersions } from '../../src/jobs/open-versions.ts'
import { quiet } from '../support/control.ts'
import { instead } from '../support/instead.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { sale } from '../support/sales-model.ts'

/** The files of a version by name, as the content index has them. */
async function filesOf({ db }: Losable, model: string, version: number): Promise<Record<string, string>> {
  const content = await listContent(db, { model, version, form: 'DUCKDB' }, { limit: 10 })
  return Object.fromEntries(content.map(({ name, uri }) => [name, fileURLToPath(uri)]))
}

/** A model whose versions 1, 2 and 3 have one base, of several blocks. */
async function modelWithOneBase(jobs: Losable) {
  const { id } = await jobs.models.create({ kind: 'sales' })
  const manager = jobs.startManager({ archiveRest: { ms: 0, times: 0 } })
  await manager.hold(id)
  const rows = Array.from({ length: 10_000 }, (_, order) => sale({ orderId: `O${order * 7919}`, amount: `${order}.5` }))
  await jobs.run(id, 'appendSales', { rows })
  for (const orderId of ['A', 'B']) await jobs.run(id, 'appendSales', { rows: [sale({ orderId })] })
  return { id, manager }
}

/** Turns a bit in every block of the file but the first and the last, where DuckDB keeps what it opens a file by. */
async function damage(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const byte = Buffer.alloc(1)
  for (let at = 12_288 + 1000; at < size - 262_144; at += 262_144) {
    await file.read(byte, 0, 1, at)
    byte.writeUInt8(byte.readUInt8(0) ^ 1)
    await file.write(byte, 0, 1, at)
  }
}

test('a version that is let go as it is being opened, and whose files are written over, is gone', async () => {
  await using jobs = await openLosable()
  const { id, manager } = await modelWithOneBase(jobs)
  await manager.close()
  const [engine] = [...jobs.engines.values()] as [Engine]
  const version = await jobs.snapshots.find(id, { version: 1 }, 0)
  const files = await filesOf(jobs, id, 2)
  const of2 = join(jobs.dataDir, 'of-2.duckdb')
  await engine.exportFile?.({ version: 2, files }, of2)
  /** As one who has his lease, and is frozen before he opens what it is for. */
  const frozen: Engine = {
    ...engine,
    async openReaders() {
      const readers = await engine.openReaders()
      return instead(readers, {
        async open(options) {
          await jobs.db.query('UPDATE model_version SET kept = false WHERE model = $1 AND version = 1', [id])
          for (const path of Object.values(options.files)) await copyFile(of2, path)
          return readers.open(options)
        },
      })
    },
  }
  const versions = new OpenVersions({ ...jobs, engines: new Map([['DUCKDB', frozen]]), log: quiet })
  onTestFinished(() => versions.close())
  await expect(versions.open(version)).rejects.toMatchObject({ code: 'SNAPSHOT_GONE' })
})

test('of a damaged base that several versions have, each is found damaged when it is read, and made again', async () => {
  await using jobs = await openLosable()
  const { id, manager } = await modelWithOneBase(jobs)
  await jobs.archived(id)
  await manager.close()
  const before = [await jobs.rows(id, { version: 2 }), await jobs.rows(id, { version: 3 })]
  const [{ 'base.duckdb': base = '' }, others] = [await filesOf(jobs, id, 2), await filesOf(jobs, id, 3)]
  expect((await stat(base)).ino).toBe((await stat(others['base.duckdb'] ?? '')).ino)
  await damage(base)

  for (const version of [2, 3])
    await expect(jobs.rows(id, { version }, 0)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  const lost = await jobs.db.query<{ version: number }>(
    'SELECT version FROM model_version WHERE model = $1 AND lost ORDER BY version',
    [id],
  )
  expect(lost.map(({ version }) => version)).toEqual([2, 3])
  await jobs.db.query(`INSERT INTO version_pin (model, version, label) VALUES ($1, 2, 'audit')`, [id])
  await jobs.startManager().hold(id)
  expect([await jobs.rows(id, { version: 2 }), await jobs.rows(id, { version: 3 })]).toEqual(before)
  expect(await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'C' })] })).toMatchObject({ version: 4 })
})

test('what is read while its files are damaged under it is not handed on, and read again when they are made anew', async () => {
  await using jobs = await openLosable()
  const { id } = await modelWithOneBase(jobs)
  await jobs.archived(id)
  const before = await jobs.rows(id)
  await using stack = new AsyncDisposableStack()
  const open = stack.adopt(await jobs.snapshots.acquire(id, null, 0), ({ release }) => release())
  await damage((await filesOf(jobs, id, 3))['base.duckdb'] ?? '')
  const read = async () => {
    for await (const _ of open.reader.stream({ table: 'sales' }, 'csv'));
  }
  await expect(read()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await jobs.rows(id)).toEqual(before)
})

test('a version that its own manager makes again is opened anew by those who had it open', async () => {
  await using jobs = await openLosable()
  const { id } = await modelWithOneBase(jobs)
  await jobs.archived(id)
  const versions = new OpenVersions({ ...jobs, log: quiet })
  onTestFinished(() => versions.close())
  const before = await jobs.snapshots.find(id, { version: 3 }, 0)
  const old = await versions.open(before)
  // Found by one who makes a clean file of it: who reads it does not know.
  await markLost(jobs.db, before)
  await jobs.rows(id)
  const now = await jobs.snapshots.find(id, { version: 3 }, 0)
  expect(now.epoch).toBeGreaterThan(before.epoch)
  const again = await versions.open(now)
  expect(again.reader).not.toBe(old.reader)
  expect(await again.reader.count('sales', ALL)).toBe(await old.reader.count('sales', ALL))
  for (const { release } of [old, again]) release()
  expect(await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'C' })] })).toMatchObject({ version: 4 })
})

test('what reads a damaged version of another model waits until that is made again, and takes over nothing of it', async () => {
  await using jobs = await openLosable()
  const { id } = await modelWithOneBase(jobs)
  await jobs.archived(id)
  const { tables } = await jobs.rows(id)
  const { id: goals } = await jobs.models.create({ kind: 'goals', reads: [id] })
  await jobs.startManager().hold(goals)
  const compute = () => {
    const period = (from: string, to: string) => ({ from: `${from}-01-01`, to: `${to}-01-01` })
    const periods = { basisPeriod: period('2024', '2025'), goalPeriod: period('2025', '2026') }
    return jobs.run(goals, 'computeGoals', { salesModel: id, ...periods, grain: [] })
  }
  const before = await compute()
  expect(before).toMatchObject({ status: 'PUBLISHED' })
  await damage(databaseOf(await filesOf(jobs, id, 3)))
  expect(await compute()).toMatchObject({ status: 'PUBLISHED', result: before.result })

  await damage(databaseOf(await filesOf(jobs, id, 3)))
  const { id: scenario } = await jobs.models.create({ kind: 'sales', from: { model: id } })
  await jobs.startManager().hold(scenario)
  const [copy] = await jobs.ledger.intents({ model: scenario }, { limit: 1 })
  expect(await jobs.ended(copy?.id ?? '')).toMatchObject({ status: 'PUBLISHED' })
  expect((await jobs.rows(scenario)).tables).toEqual(tables)
})
