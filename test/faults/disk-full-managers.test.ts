import { randomBytes } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Engine } from '../../src/engine/engine.ts'
import { findLost } from '../../src/jobs/lost.ts'
import { pinVersion } from '../../src/jobs/pins.ts'
import { Snapshots } from '../../src/jobs/snapshots.ts'
import { comesTrue } from '../support/comes-true.ts'
import { quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'
import { type OnDisk, onDisk, openOnDisk, smallDisk } from '../support/small-disk.ts'

const disk = smallDisk(48)
let managed: OnDisk
beforeAll(async () => {
  if (disk) managed = await openOnDisk(disk)
})
afterAll(() => managed?.[Symbol.asyncDispose]())

/** Rows that cannot be compressed. */
const randomRows = (count: number) =>
  Array.from({ length: count }, () => sale({ orderId: randomBytes(60).toString('base64') }))
const submit = (model: string, count: number) =>
  managed.submitter.submit({ model, function: 'appendSales', arguments: { rows: randomRows(count) } })
/** A model of 3 versions, the second and third a base and a WAL, archived. */
async function fullModel(): Promise<string> {
  const { id } = await managed.models.create({ kind: 'sales' })
  const manager = managed.startManager({ archiveRest: { ms: 0, times: 0 } })
  await manager.hold(id)
  for (const count of [5000, 200, 200]) await managed.run(id, 'appendSales', { rows: randomRows(count) })
  await archived(id)
  await manager.close()
  return id
}
const archived = (model: string) => until(model, async () => (await managed.models.get(model))?.archivedVersion === 3)
async function until(model: string, look: () => Promise<boolean>): Promise<void> {
  if (!(await comesTrue(look))) throw new Error(`${model} did not come to ${look}`)
}
const blocked = async (model: string) => (await managed.models.get(model))?.blocked
/** What there is below a folder of the model: files, and folders that are empty. */
async function left(model: string, ...folders: string[]): Promise<string[]> {
  const found = await Promise.all(
    folders.map(async name =>
      (await readdir(join(managed.dataDir, 'models', model, name)).catch(() => [])).map(each => `${name}/${each}`),
    ),
  )
  return found.flat()
}
/** How many sales somebody sees who has just come, and at which version. */
async function seen(model: string, version?: number) {
  const snapshots = new Snapshots({ ...managed, log: quiet })
  try {
    const { reader } = await snapshots.acquire(model, version === undefined ? null : { version }, 30_000)
    return [reader.version, Number(await reader.count('sales', { is: 'and', of: [] }))]
  } finally {
    await snapshots.close()
  }
}
async function versionFiles(model: string, version: number) {
  const { epoch } = await managed.snapshots.find(model, { version }, 0)
  const dir = join(managed.dataDir, 'models', model, 'versions', `${version}-${epoch}`)
  const sizes = await Promise.all((await readdir(dir)).sort().map(async name => (await stat(join(dir, name))).size))
  return { dir, sizes }
}

test.skipIf(!disk)(
  onDisk(
    disk,
    'a disk that is full as a writer is opened blocks the model, keeps nothing of it, and it goes on when there is room',
  ),
  async () => {
    const model = await fullModel()
    const { sizes } = await versionFiles(model, 3)
    const [base = 0, wal = 0] = sizes
    expect(wal).toBeGreaterThan(0)
    let versions = 3
    // No room at all, for half of the base, and for all of it and half of the WAL.
    for (const room of [0, base / 2, base + wal / 2]) {
      const before = await seen(model)
      const makeRoom = await managed.disk.fill(room)
      const intent = await submit(model, 1)
      const manager = managed.startManager()
      await manager.hold(model)
      await until(model, async () => (await blocked(model)) !== null)
      expect(await blocked(model)).toMatchObject({ code: 'UNAVAILABLE', message: 'The disk is full.' })
      expect(await managed.ledger.intent(intent.id)).toMatchObject({ status: 'QUEUED', attempts: 0 })
      expect(await left(model, 'scratch')).toEqual([])
      expect(await seen(model)).toEqual(before)
      await makeRoom()
      expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: ++versions })
      expect(await seen(model)).toEqual([versions, 5400 + versions - 3])
      expect(await blocked(model)).toBeNull()
      await manager.close()
    }
  },
)

test.skipIf(!disk)(
  onDisk(
    disk,
    'a disk that is full as a writer tidies up fails nobody, and the next intent has the model say so and go on when there is room',
  ),
  async () => {
    const { id: model } = await managed.models.create({ kind: 'sales' })
    let makeRoom = async () => {}
    let tidied = Promise.withResolvers<unknown>()
    let isOver = false
    /** The disk fills up as the writer is about to tidy, until that is refused; where nothing was to be done there is room again. */
    const tidying = (engine: Engine): Engine => ({
      ...engine,
      async openWriter(options) {
        const writer = await engine.openWriter(options)
        const tidy = writer.tidy.bind(writer)
        writer.tidy = async () => {
          if (isOver) return tidy()
          makeRoom = await managed.disk.fill()
          await tidy().catch(error => {
            isOver = true
            tidied.resolve(error)
            throw error
          })
          await makeRoom()
          tidied.resolve('nothing to be done')
        }
        return writer
      },
    })
    const engines = new Map([...managed.engines].map(([name, engine]) => [name, tidying(engine)]))
    await managed.startManager({ engines }).hold(model)
    let versions = 0
    for (let outcome: unknown = 'nothing to be done'; outcome === 'nothing to be done'; versions++) {
      tidied = Promise.withResolvers()
      await managed.run(model, 'appendSales', { rows: randomRows(1000) })
      outcome = await tidied.promise
      expect(['nothing to be done', 'ENOSPC']).toContain((outcome as { code?: string }).code ?? outcome)
    }
    await expect.poll(() => left(model, 'scratch')).toEqual([])
    const before = await seen(model)
    expect([await blocked(model), before]).toEqual([null, [versions, versions * 1000]])

    // What the writer had on the disk is room by now.
    makeRoom = await managed.disk.fill()
    const intent = await submit(model, 1)
    await until(model, async () => (await blocked(model)) !== null)
    expect(await blocked(model)).toMatchObject({ message: 'The disk is full.' })
    expect(await seen(model)).toEqual(before)
    await makeRoom()
    expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: versions + 1 })
    expect(await seen(model)).toEqual([versions + 1, versions * 1000 + 1])
  },
)

test.skipIf(!disk)(
  onDisk(
    disk,
    'a disk that is full as lost versions are made again blocks the model, keeps nothing of it, and it goes on when there is room',
  ),
  { timeout: 120_000 },
  async () => {
    const model = await fullModel()
    await pinVersion(managed.db, model, 2, 'audit')
    const before = [await seen(model, 2), await seen(model)]
    const { sizes } = await versionFiles(model, 3)
    const base = Math.max(...sizes)
    const isLost = async () =>
      (await managed.db.query('SELECT FROM model_version WHERE model = $1 AND lost', [model])).length > 0
    let times = 0
    // No room at all, then for a part of what is fetched, of what is made of it, and of the version's own files.
    for (const room of [0, base / 4, base / 2, base]) {
      for (const version of room === 0 ? [2, 3] : [3])
        await rm((await versionFiles(model, version)).dir, { recursive: true })
      await findLost({ ...managed, log: quiet })
      const there = await left(model, 'versions')
      const makeRoom = await managed.disk.fill(room)
      const manager = managed.startManager()
      await manager.hold(model)
      await until(model, async () => (await blocked(model)) !== null || !(await isLost()))
      if (await blocked(model)) {
        times += 1
        expect(await blocked(model)).toMatchObject({
          code: 'UNAVAILABLE',
          message: expect.stringMatching('The disk is full'),
        })
        expect(await left(model, 'scratch', 'rebuild', 'versions')).toEqual(there)
      }
      await makeRoom()
      expect([await seen(model, 2), await seen(model)]).toEqual(before)
      // The version is there before its line has found that nothing more is in its way.
      await until(model, async () => (await blocked(model)) === null)
      await manager.close()
    }
    expect(times).toBeGreaterThan(2)
  },
)
