import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest'
import { Housekeeper } from '../../src/jobs/housekeeper.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { anyEngine } from '../support/any-engine.ts'
import { openApi, type TestApi } from '../support/api.ts'
import { quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'

const engine = anyEngine()
let api: TestApi
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

/** A sales model with three sales at version 1, and that many versions. */
async function modelAt(versions: number): Promise<string> {
  const model = await api.create({ kind: 'sales', engine })
  await append(model, ['A', 'B', 'C'])
  for (let version = 2; version <= versions; version++) await append(model, [`V${version}`])
  return model
}

const append = (model: string, orders: string[]) =>
  api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, waitMs: 30000) { version } }',
    {
      model,
      rows: orders.map(orderId => sale({ orderId })),
    },
  )

/** Reads `fields` of a version. */
const read = (model: string, version: number, fields: string) =>
  api.graphql(`{ salesModel(id: "${model}") { snapshot(at: { version: ${version} }) { ${fields} } } }`)

const kept = async (model: string) =>
  (await api.services.snapshots.kept(model, 100, null)).map(({ version }) => version).reverse()

const isPaged = async (model: string, version: number) => {
  const [row] = await api.services.db.query<{ paged: boolean }>(
    'SELECT paged_at IS NOT NULL AS paged FROM model_version WHERE model = $1 AND version = $2',
    [model, version],
  )
  return row?.paged
}

const letGoOf = (model: string, pagedDisk = 8) => letGo({ db: api.db, dataDir: api.dir, pagedDisk }, model)

/** Reads a page that has a next one, and waits until that is written down. */
async function page(model: string, version: number): Promise<void> {
  await read(model, version, 'sales(first: 1) { pageInfo { hasNextPage } }')
  await expect.poll(() => isPaged(model, version)).toBe(true)
}

async function startHousekeeper(): Promise<void> {
  const { db } = api
  const store = await mkdtemp(join(tmpdir(), 'teatree-store-'))
  const objects = await openObjectStore(`file://${store}`)
  const housekeeper = new Housekeeper({
    db,
    objects,
    dataDir: api.dir,
    pagedDisk: 8,
    completions: { entries: 1000, days: 7 },
    queries: { folder: join(api.dir, 'queries'), seconds: 3600 },
    log: quiet,
  })
  onTestFinished(async () => {
    await housekeeper.close()
    await objects.close()
    await rm(store, { recursive: true })
  })
  housekeeper.start()
}

test('a version from which a page was read that has a next one is kept, and one that was read to its end is not', async () => {
  const model = await modelAt(2)
  await page(model, 1)
  expect((await read(model, 2, 'sales(first: 4) { pageInfo { hasNextPage } }')).salesModel.snapshot.sales).toEqual({
    pageInfo: { hasNextPage: false },
  })
  for (const order of ['D', 'E', 'F']) await append(model, [order])
  await expect.poll(() => kept(model)).toEqual([1, 3, 4, 5])
  expect(await isPaged(model, 2)).toBe(false)
  // Whoever goes on there finds what he was promised.
  const next = await read(model, 1, 'sales(first: 2, orderBy: [{ column: orderId }]) { nodes { orderId } }')
  expect(next.salesModel.snapshot.sales.nodes).toEqual([{ orderId: 'A' }, { orderId: 'B' }])
})

test('at the newest version, pages go on behind the same key, whatever is written between them', async () => {
  const model = await modelAt(1)
  const next = async (after: string | null) => {
    const query = `query ($id: ID!, $after: String) { salesModel(id: $id) { snapshot { version
      sales(first: 2, after: $after) { nodes { orderId } pageInfo { endCursor hasNextPage } } } } }`
    const { version, sales } = (await api.graphql(query, { id: model, after })).salesModel.snapshot
    return { version, orders: sales.nodes.map(({ orderId }: { orderId: string }) => orderId), ...sales.pageInfo }
  }
  const first = await next(null)
  expect(first).toMatchObject({ version: 1, orders: ['A', 'B'] })
  await append(model, ['AA', 'BB'])
  const second = await next(first.endCursor)
  expect(second).toMatchObject({ version: 2, orders: ['BB', 'C'], hasNextPage: false })
  await append(model, ['D'])
  expect(await next(second.endCursor)).toMatchObject({ version: 3, orders: ['D'], hasNextPage: false })
})

test('every way of paging below a snapshot counts: backwards, groups, differences', async () => {
  const model = await modelAt(5)
  const pages = [
    'sales(last: 1) { nodes { orderId } }',
    'salesAggregate(groupBy: [{ column: orderId }], first: 1) { nodes { count } }',
    'sales(first: 1) { edges { cursor } }',
  ]
  for (const [index, fields] of pages.entries()) {
    await read(model, 3 + index, fields)
    await expect.poll(() => isPaged(model, 3 + index), { message: fields }).toBe(true)
  }
  const other = await modelAt(3)
  await append(other, ['X', 'Y'])
  await read(other, 4, 'salesDiff(from: { version: 2 }, first: 1) { nodes { change } }')
  await expect.poll(async () => [await isPaged(other, 2), await isPaged(other, 4)]).toEqual([true, true])
  expect(await isPaged(other, 3)).toBe(false)
})

test('what is kept for paging goes where there is no disk for it, and answers SNAPSHOT_GONE', async () => {
  const model = await api.create({ kind: 'sales', engine })
  await append(model, ['A', 'B', 'C'])
  for (const version of [1, 2, 3, 4]) {
    await page(model, version)
    await append(model, [`V${version + 1}`])
  }
  for (const order of ['W', 'X', 'Y']) await append(model, [order])
  // The fifth is open here for a moment yet.
  const keptNow = () => letGoOf(model, 8).then(() => kept(model))
  await expect.poll(keptNow).toEqual([1, 2, 3, 4, 6, 7, 8])
  await letGoOf(model, 0)
  expect(await kept(model)).toEqual([6, 7, 8])
  await expect(read(model, 1, 'sales(first: 1) { nodes { orderId } }')).rejects.toThrow('SNAPSHOT_GONE')
})

test('a version from which nobody pages any more goes, although nothing is published', async () => {
  const model = await modelAt(1)
  await page(model, 1)
  for (const order of ['D', 'E', 'F']) await append(model, [order])
  await startHousekeeper()
  await letGoOf(model)
  expect(await kept(model)).toEqual([1, 2, 3, 4])
  await api.services.db.query(`UPDATE model_version SET paged_at = paged_at - interval '11 minutes' WHERE model = $1`, [
    model,
  ])
  await expect.poll(() => kept(model)).toEqual([2, 3, 4])
})

test('a version goes soon when its last label is released, and its files with it', async () => {
  const model = await modelAt(1)
  for (const label of ['one', 'two'])
    await api.graphql(`mutation { pinSnapshot(model: "${model}", version: 1, label: "${label}") { id } }`)
  for (const order of ['D', 'E', 'F']) await append(model, [order])
  await startHousekeeper()
  const release = (args: string) =>
    api.graphql(`mutation { releaseSnapshot(model: "${model}", version: 1${args}) { version labels } }`)
  expect((await release(', label: "one"')).releaseSnapshot).toEqual({ version: 1, labels: ['two'] })
  expect((await release(', label: "never"')).releaseSnapshot).toEqual({ version: 1, labels: ['two'] })
  await letGoOf(model)
  expect(await kept(model)).toEqual([1, 2, 3, 4])
  expect((await release('')).releaseSnapshot).toEqual({ version: 1, labels: [] })
  await expect.poll(() => kept(model)).toEqual([2, 3, 4])
  const isThere = () => access(new ModelFiles(api.dir, model).versionDir(1, 1)).then(() => true, String)
  await expect.poll(isThere).toContain('ENOENT')
  await expect(release('')).rejects.toThrow('SNAPSHOT_GONE')
})

test('files that were left of a version that is gone are removed, and what is on its way to be published is not', async () => {
  const model = await modelAt(4)
  await expect.poll(() => kept(model)).toEqual([2, 3, 4])
  const files = new ModelFiles(api.dir, model)
  const isThere = (version: number) =>
    access(files.versionDir(version, 1)).then(
      () => true,
      () => false,
    )
  await expect.poll(() => isThere(1)).toBe(false)
  // Its transaction was the last that somebody did; and the next version is complete, and not yet visible.
  for (const version of [1, 5]) {
    await mkdir(files.versionDir(version, 1))
    await writeFile(join(files.versionDir(version, 1), 'model.duckdb'), 'left')
  }
  await startHousekeeper()
  await expect.poll(() => isThere(1)).toBe(false)
  expect(await Promise.all([2, 3, 4, 5].map(isThere))).toEqual([true, true, true, true])
})
