import { describe, expect, test } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import { pinVersion, releaseVersion } from '../../src/jobs/pins.ts'
import { expectWhole, manifestOf, nameOf, namesOf } from '../support/archives.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { openLosable } from '../support/lost-disk.ts'
import { nobodysStore, onS3, S3_URL } from '../support/object-stores.ts'
import { sale } from '../support/sales-model.ts'

/** Each run under a prefix of its own. */
const STORES = [
  { name: 'files', options: () => ({}), there: true },
  { name: onS3('S3'), options: () => ({ storeUrl: `${S3_URL}/keeping-${crypto.randomUUID()}` }), there: !!S3_URL },
]

const NO_REST = { ms: 0, times: 0 }

const site = (siteId: string) => ({ siteId, name: siteId, region: null })

describe.each(STORES.filter(({ there }) => there))('the archive over $name', ({ options }) => {
  test('refers to the objects of tables that no intent has written since, and puts the others', async () => {
    await using jobs = await openLosable(options())
    const { id } = await jobs.models.create({ kind: 'sales' })
    await jobs.startManager({ archiveRest: NO_REST }).hold(id)
    await jobs.run(id, 'appendSales', { rows: [sale({ orderId: 'A' })] })
    await jobs.archived(id)
    await jobs.run(id, 'upsertSites', { rows: [site('S1')] })
    await jobs.archived(id)
    // Written, and yet the same: it is told by its bytes.
    await jobs.run(id, 'upsertSites', { rows: [site('S1')] })
    await jobs.archived(id)
    const keys = async (version: number) =>
      Object.fromEntries(
        (await manifestOf(jobs, id, version))?.tables.map(({ table, key }) => [table, nameOf(key)]) ?? [],
      )
    expect(await keys(1)).toMatchObject({ sales: `${id}/1/sales.parquet`, sites: `${id}/1/sites.parquet` })
    expect(await keys(2)).toEqual({ ...(await keys(1)), sites: `${id}/2/sites.parquet` })
    expect(await keys(3)).toEqual(await keys(2))
    expect(await namesOf(jobs, id)).toEqual([
      ...['customers', 'manifest.json', 'products', 'sales', 'salespersons', 'sites'].map(
        name => `${id}/1/${name.includes('.') ? name : `${name}.parquet`}`,
      ),
      `${id}/2/manifest.json`,
      `${id}/2/sites.parquet`,
      `${id}/3/manifest.json`,
    ])
    const salesKey = (await manifestOf(jobs, id, 1))?.tables.find(({ table }) => table === 'sales')?.key ?? ''
    const content = await listContent(jobs.db, { model: id, version: 3, form: 'PARQUET' }, { limit: 10 })
    expect(content.find(({ table }) => table === 'sales')).toMatchObject({
      name: 'sales.parquet',
      uri: jobs.objects.uri(salesKey),
      rows: 1n,
    })
    expect(content).toHaveLength(5)
  })

  test('keeps the newest archives and those of pinned versions, and of the others only what these refer to', async () => {
    await using jobs = await openLosable({ ...options(), kindsDir: TRIAL_KINDS })
    const { id } = await jobs.models.create({ kind: 'trial' })
    await jobs.startManager({ archives: 2, archiveRest: NO_REST }).hold(id)
    const publish = async (entryId: string) => {
      await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
      await jobs.archived(id)
    }
    await publish('A')
    await pinVersion(jobs.db, id, 1, 'audit')
    for (const entry of ['B', 'C', 'D', 'E', 'F', 'G']) await publish(entry)
    const archives = async () =>
      (
        await jobs.db.query<{ version: number }>('SELECT version FROM archive WHERE model = $1 ORDER BY version', [id])
      ).map(({ version }) => version)
    // Besides the newest two, that of a version which can still be read and might be lost.
    const settled = async (versions: number[]) => async () => String(await archives()) === String(versions)
    expect(await comesTrue(await settled([1, 5, 6, 7]))).toBe(true)
    expect(await namesOf(jobs, id)).toEqual([
      ...['entries.parquet', 'manifest.json', 'seen.parquet'].map(name => `${id}/1/${name}`),
      ...[5, 6, 7].flatMap(version => [`${id}/${version}/entries.parquet`, `${id}/${version}/manifest.json`]),
    ])
    const content = await listContent(jobs.db, { model: id, form: 'PARQUET' }, { limit: 100 })
    expect([...new Set(content.map(({ version }) => version))]).toEqual([7, 6, 5, 1])

    await releaseVersion(jobs.db, id, 1, null)
    for (const entry of ['H', 'I']) await publish(entry)
    expect(await comesTrue(await settled([7, 8, 9]))).toBe(true)
    // Still referred to, though the archive that it came with is gone.
    expect((await namesOf(jobs, id)).filter(key => key.startsWith(`${id}/1/`))).toEqual([`${id}/1/seen.parquet`])
    for (const version of [7, 8, 9])
      for (const { key, bytes } of (await manifestOf(jobs, id, version))?.tables ?? [])
        expect(await jobs.objects.head(key)).toEqual({ key, bytes })
  })

  test('an object that is gone is put anew, and what a broken off archive has left is removed', async () => {
    await using jobs = await openLosable({ ...options(), kindsDir: TRIAL_KINDS })
    const { id } = await jobs.models.create({ kind: 'trial' })
    const first = jobs.startManager({ archiveRest: NO_REST })
    await first.hold(id)
    const append = (entryId: string) => jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: null }] })
    await append('A')
    await jobs.archived(id)
    await first.close()
    await jobs.objects.delete((await manifestOf(jobs, id, 1))?.tables.find(({ table }) => table === 'seen')?.key ?? '')
    await jobs.objects.put(`${id}/2/entries-1-0123456789abcdef.parquet`, Buffer.from('of a manager that was killed'))
    await jobs.objects.put(`${id}/2/manifest-1.json`, Buffer.from('{}'))
    await jobs.objects.put(`${id}/note.txt`, Buffer.from('somebody else'))
    const nobody = await nobodysStore()
    const offline = jobs.startManager({ objects: nobody })
    await offline.hold(id)
    for (const entry of ['B', 'C', 'D', 'E', 'F']) await append(entry)
    await offline.close()
    await nobody.close()
    await jobs.startManager({ archiveRest: NO_REST }).hold(id)
    await jobs.archived(id)
    expect((await manifestOf(jobs, id, 6))?.tables.map(({ key }) => nameOf(key))).toEqual([
      `${id}/6/entries.parquet`,
      `${id}/6/seen.parquet`,
    ])
    const isSwept = async () => (await namesOf(jobs, id)).every(key => !key.startsWith(`${id}/2/`))
    expect(await comesTrue(isSwept)).toBe(true)
    expect(await namesOf(jobs, id)).toContain(`${id}/note.txt`)
  })

  test('of an archive that is damaged the one before it is taken, and the version is archived anew', async () => {
    await using jobs = await openLosable({ ...options(), kindsDir: TRIAL_KINDS })
    const { id } = await jobs.models.create({ kind: 'trial' })
    const first = jobs.startManager({ archiveRest: NO_REST })
    await first.hold(id)
    for (const entryId of ['A', 'B']) {
      await jobs.run(id, 'appendTrialEntries', { rows: [{ entryId, note: entryId }] })
      await jobs.archived(id)
    }
    await first.close()
    const before = await jobs.rows(id)
    const entries = async () => (await manifestOf(jobs, id, 2))?.tables.find(({ table }) => table === 'entries')
    const { key = '', bytes = 0 } = (await entries()) ?? {}
    await jobs.objects.put(key, Buffer.alloc(bytes, 'x'))

    await jobs.loseDisk()
    const second = jobs.startManager({ archiveRest: NO_REST })
    await second.hold(id)
    expect(await jobs.rows(id)).toEqual(before)
    await jobs.archived(id)
    expect(await entries()).not.toMatchObject({ key })
    expect(await expectWhole(jobs, id)).toContain(2)
    await second.close()
    await jobs.loseDisk()
    await jobs.startManager({ archiveRest: NO_REST }).hold(id)
    expect(await jobs.rows(id)).toEqual(before)
  })
})
