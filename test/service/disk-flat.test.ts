import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { Housekeeper } from '../../src/jobs/housekeeper.ts'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { openApi, type TestApi } from '../support/api.ts'
import { quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'

const POINTS = 4
const WRITES = 20
const READERS = 3
const PAGED_DISK = 4
/** Between three pages and the next: versions come no faster. Without a rest, those who read have the processor. */
const REST_MS = 40

/** Bytes that a folder takes on disk, each file once, whatever it is called and however often. */
async function diskUse(folder: string): Promise<number> {
  const inodes = new Map<number, number>()
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    const file = await lstat(join(entry.parentPath, entry.name)).catch(() => null)
    if (file?.isFile()) inodes.set(file.ino, file.blocks * 512)
  }
  return [...inodes.values()].reduce((sum, bytes) => sum + bytes, 0)
}

/** Pages through the newest version again and again, three pages of it, and begins anew where it is gone. */
async function pageOn(api: TestApi, model: string, isOver: () => boolean): Promise<void> {
  const page = (at: string, after: string) =>
    api.answer(`{ salesModel(id: "${model}") { snapshot(${at}) { version sales(first: 1${after}) {
      nodes { orderId } pageInfo { hasNextPage endCursor } } } } }`)
  while (!isOver()) {
    let at = 'waitMs: 0'
    let after = ''
    for (let n = 0; n < 3; n++) {
      const { data, errors } = await page(at, after)
      if (errors?.[0]) {
        expect(errors[0].extensions.code).toBe('SNAPSHOT_GONE')
        break
      }
      const { version, sales } = data.salesModel.snapshot
      at = `at: { version: ${version} }`
      after = `, after: "${sales.pageInfo.endCursor}"`
    }
    await wait(REST_MS)
  }
}

test('under a steady stream of writes, and of readers that page, what is on disk stays within its bound', {
  timeout: 300_000,
}, async () => {
  await using api = await openApi({ pagedDisk: PAGED_DISK })
  const { db } = api
  const objects = await openObjectStore(pathToFileURL(join(api.dir, 'store')).href)
  const housekeeper = new Housekeeper({
    db,
    objects,
    dataDir: api.dir,
    pagedDisk: PAGED_DISK,
    completions: { entries: 1000, days: 7 },
    queries: { folder: join(api.dir, 'queries'), seconds: 3600 },
    log: quiet,
  })
  housekeeper.start()
  const model = await api.create({ kind: 'sales' })
  const folder = join(api.dir, 'models', model)
  const append = (orderId: string) =>
    api.graphql(
      'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, waitMs: 30000) { version } }',
      { model, rows: [sale({ orderId })] },
    )
  await append('first')
  await append('second')
  let isOver = false
  const readers = Array.from({ length: READERS }, () => pageOn(api, model, () => isOver))
  const paged = async () => {
    const [row] = await db.query<{ versions: number }>(
      'SELECT count(*)::integer AS versions FROM model_version WHERE model = $1 AND paged_at IS NOT NULL',
      [model],
    )
    return row?.versions ?? 0
  }
  for (let point = 1; point <= POINTS; point++) {
    for (let n = 0; n < WRITES; n++) await append(`${point}-${n}`)
    const newest = `${(await api.services.models.get(model))?.version}-1`
    const size = await diskUse(join(folder, 'versions', newest))
    // The newest three and what is paged; what the writer works in; one on its way.
    const bound = (3 + PAGED_DISK + 3) * size
    await expect.poll(() => diskUse(folder), { timeout: 60_000 }).toBeLessThanOrEqual(bound)
  }
  isOver = true
  await Promise.all(readers)
  // There were more to be kept than there was room for.
  expect(await paged()).toBeGreaterThan(3 + PAGED_DISK + 3)
  await housekeeper.close()
  await objects.close()
})
