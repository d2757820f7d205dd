import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { expect, test } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import { manifestOf } from '../support/archives.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { sale } from '../support/sales-model.ts'
import { trialsOn } from '../support/trials.ts'

const s3 = process.env.TEATREE_TEST_STORE_URL

/** Each run under a prefix of its own. */
const stores: [name: string, url: string | undefined][] = [
  ['files', undefined],
  ['S3 (skipped where TEATREE_TEST_STORE_URL is not set)', s3 && `${s3}/archive-${Date.now()}`],
]

for (const [name, storeUrl] of stores)
  test.skipIf(name !== 'files' && !s3)(
    `the archive read back from ${name} equals the snapshot, and its manifest names it`,
    async () => {
      await using managed = await openManaged(storeUrl === undefined ? {} : { storeUrl })
      const { id } = await managed.models.create({ kind: 'sales' })
      await managed.startManager().hold(id)
      const rows = Array.from({ length: 500 }, (_, order) =>
        sale({ orderId: `O${order}`, amount: `${order}.25`, salespersonId: null }),
      )
      await managed.run(id, 'appendSales', { rows })
      await managed.run(id, 'updateSales', { where: { orderId: { eq: 'O7' } }, set: { siteId: 'Zürich' } })
      await managed.run(id, 'upsertSites', { rows: [{ siteId: 'Zürich', name: 'Zürich', region: null }] })

      const archived = async () => (await managed.models.managers([id]))[0]?.archiveLag === 0
      expect(await comesTrue(archived)).toBe(true)
      const content = await listContent(managed.db, { model: id, version: 3, form: 'PARQUET' }, { limit: 100 })
      expect(content.map(({ table, rows }) => [table, rows])).toEqual([
        ['customers', 0n],
        ['products', 0n],
        ['sales', 500n],
        ['salespersons', 0n],
        ['sites', 1n],
      ])
      await holdAgainstSnapshot(managed, id, content)
      expect(await manifestOf(managed, id, 3)).toMatchObject({
        model: id,
        kind: 'sales',
        version: 3,
        tables: expect.arrayContaining(
          content.map(({ table, sha256, bytes }) => expect.objectContaining({ table, sha256, bytes: Number(bytes) })),
        ),
      })
    },
  )

test('a model whose archive takes long holds up no other', async () => {
  await using managed = await openManaged()
  const [slow, other] = [await managed.models.create({ kind: 'sales' }), await managed.models.create({ kind: 'sales' })]
  const reached = Promise.withResolvers<void>()
  const gate = Promise.withResolvers<void>()
  const objects = new Proxy(managed.objects, {
    get(store, name) {
      const value = Reflect.get(store, name)
      if (name !== 'putFile') return typeof value === 'function' ? value.bind(store) : value
      return async (...args: Parameters<typeof store.putFile>) => {
        if (args[0].startsWith(`${slow.id}/`)) {
          reached.resolve()
          await gate.promise
        }
        return store.putFile(...args)
      }
    },
  })
  const manager = managed.startManager({ objects, archiveRest: { ms: 0, times: 0 } })
  for (const { id } of [slow, other]) await manager.hold(id)
  await managed.run(slow.id, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  await reached.promise
  const lag = async (model: string) => (await managed.models.managers([model]))[0]?.archiveLag
  for (const orderId of ['A', 'B']) {
    await managed.run(other.id, 'appendSales', { rows: [sale({ orderId })] })
    const isArchived = async () => (await lag(other.id)) === 0
    expect(await comesTrue(isArchived)).toBe(true)
  }
  expect(await lag(slow.id)).toBe(1)
  gate.resolve()
  expect(await comesTrue(async () => (await lag(slow.id)) === 0)).toBe(true)
})

test.for([
  ['waits while a line is at work', 3_600_000],
  ['does not wait longer than it may', 0],
] as const)('an archive %s', async ([, archiveLateMs]) => {
  await using managed = await openManaged({ kindsDir: TRIAL_KINDS })
  const { append, linger, newModel, until, untilWaiting } = trialsOn(managed)
  const [atWork, other] = [await newModel(), await newModel()]
  const manager = managed.startManager({ archiveLateMs })
  for (const model of [atWork, other]) await manager.hold(model)
  const done = join(managed.dataDir, 'done')
  const lingering = await linger(atWork, done)
  await untilWaiting(lingering)
  await managed.ended((await append(other, 'A')).id)
  const isArchived = async () => (await managed.models.get(other))?.archivedVersion === 1
  if (archiveLateMs > 0) {
    // It would have come by the time that leases have been renewed twice.
    const renewals = new Set<string>()
    await until(other, async () => {
      const [lease] = await managed.db.query<{ at: string }>(
        'SELECT expires_at::text AS at FROM model_lease WHERE model = $1',
        [other],
      )
      return renewals.add(lease?.at ?? '').size > 2
    })
    expect(await isArchived()).toBe(false)
    await writeFile(done, '')
  }
  await until(other, isArchived)
  expect((await managed.ledger.intent(lingering.id))?.status === 'RUNNING').toBe(archiveLateMs === 0)
  await writeFile(done, '')
  expect(await managed.ended(lingering.id)).toMatchObject({ status: 'PUBLISHED' })
})

async function holdAgainstSnapshot(
  managed: Managed,
  model: string,
  content: readonly { table: string | null; sha256: string }[],
): Promise<void> {
  const [file] = await listContent(managed.db, { model, version: 3, form: 'DUCKDB' }, { limit: 1 })
  const folder = await mkdtemp(join(tmpdir(), 'teatree-archive-'))
  const instance = await DuckDBInstance.create(':memory:')
  const connection = await instance.connect()
  try {
    await connection.run(`ATTACH '${file?.uri.slice('file://'.length)}' AS snapshot (READ_ONLY)`)
    const tables = (await manifestOf(managed, model, 3))?.tables ?? []
    const keys = new Map(tables.map(({ table, key }) => [table, key]))
    for (const { table, sha256 } of content) {
      const path = join(folder, `${table}.parquet`)
      await managed.objects.getFile(keys.get(`${table}`) ?? '', path, { expect: { sha256 } })
      const archived = `SELECT * FROM read_parquet('${path}')`
      const served = `SELECT * FROM snapshot.main."${table}"`
      const differ = await connection.runAndReadAll(
        `(${archived} EXCEPT ALL ${served}) UNION ALL (${served} EXCEPT ALL ${archived})`,
      )
      expect(differ.getRowObjectsJson()).toEqual([])
    }
  } finally {
    connection.closeSync()
    instance.closeSync()
    await rm(folder, { recursive: true, force: true })
  }
}
