import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { clearStore, removeDeleted } from '../../src/jobs/deleted-models.ts'
import { removeResults } from '../../src/jobs/stored-results.ts'
import { namesOf } from '../support/archives.ts'
import { type Losable, openLosable } from '../support/lost-disk.ts'
import { bytesOf, keysOf, nobodysStore, onS3, S3_URL } from '../support/object-stores.ts'
import { sale } from '../support/sales-model.ts'

const STORES = [
  { name: 'files', options: () => ({}), there: true },
  { name: onS3('S3'), options: () => ({ storeUrl: `${S3_URL}/deleted-${crypto.randomUUID()}` }), there: !!S3_URL },
]
const NO_REST = { ms: 0, times: 0 }

/** A model with an archive of two versions. */
async function archivedModel(jobs: Losable, id?: string): Promise<string> {
  const model = await jobs.models.create({ kind: 'sales', ...(id === undefined ? {} : { id }) })
  const manager = jobs.startManager({ archiveRest: NO_REST })
  await manager.hold(model.id)
  for (const orderId of ['A', 'B']) {
    await jobs.run(model.id, 'appendSales', { rows: [sale({ orderId })] })
    await jobs.archived(model.id)
  }
  await manager.close()
  return model.id
}

/** Deletes it, so long ago that nobody can be at work in its name, or a day. */
async function deleted({ models, db }: Losable, id: string, ago = '1 minute'): Promise<void> {
  if (await models.get(id)) await models.delete(id)
  await db.query('UPDATE goal_model SET deleted_at = clock_timestamp() - $2::interval WHERE id = $1', [id, ago])
}

const known = async ({ db }: Losable, model: string) => {
  const [row] = await db.query<{ archives: bigint; content: bigint }>(
    `SELECT (SELECT count(*) FROM archive WHERE model = $1) AS archives,
            (SELECT count(*) FROM content_index WHERE model = $1) AS content`,
    [model],
  )
  return row
}
const NOTHING = { archives: 0n, content: 0n }

describe.each(STORES.filter(({ there }) => there))('what $name holds of a deleted model', ({ options }) => {
  test('goes, whoever is at it and was broken off; its neighbours, uploads and what is not ours stay', async () => {
    await using jobs = await openLosable(options())
    const [model, neighbour] = [await archivedModel(jobs, 'uploads'), await archivedModel(jobs, 'uploads-2')]
    const upload = await jobs.uploads.receive(
      (async function* () {
        yield Buffer.from('siteId,name\nS1,one\n')
      })(),
      {},
    )
    await jobs.objects.put(`${model}/note.txt`, Buffer.from('somebody else'))
    const before = await keysOf(jobs.objects.list(`${neighbour}/`))
    await clearStore(jobs)
    expect(await namesOf(jobs, model)).toContain(`${model}/2/manifest.json`)

    await deleted(jobs, model)
    const nobody = await nobodysStore()
    await expect(clearStore({ ...jobs, objects: nobody })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await nobody.close()
    await Promise.all([clearStore(jobs), clearStore(jobs)])
    expect(await keysOf(jobs.objects.list(`${model}/`))).toEqual([`${model}/note.txt`, `uploads/${upload.id}`].sort())
    expect(await bytesOf(await jobs.objects.get(`uploads/${upload.id}`))).not.toBeNull()
    expect(await known(jobs, model)).toEqual(NOTHING)
    expect(await keysOf(jobs.objects.list(`${neighbour}/`))).toEqual(before)
    await expect(jobs.models.create({ id: model, kind: 'sales' })).rejects.toMatchObject({ code: 'NAME_TAKEN' })
    expect(await jobs.ledger.countIntents({ model })).toBe(2)
  })

  test('goes too where it was put by one who did not know yet, and is not looked for for ever', async () => {
    await using jobs = await openLosable(options())
    const model = await archivedModel(jobs)
    await deleted(jobs, model)
    await clearStore(jobs)
    const late = `${model}/3/sales-1-0123456789abcdef.parquet`
    const put = () => jobs.objects.put(late, Buffer.from('late'))
    await put()
    await clearStore(jobs)
    expect(await keysOf(jobs.objects.list(`${model}/`))).toEqual([late])
    await deleted(jobs, model, '25 hours')
    await clearStore(jobs)
    expect(await keysOf(jobs.objects.list(`${model}/`))).toEqual([])
    await put()
    await clearStore(jobs)
    expect(await keysOf(jobs.objects.list(`${model}/`))).toEqual([late])
  })

  test('of the results of query runs goes with them, whoever is there first', async () => {
    await using jobs = await openLosable(options())
    const model = await archivedModel(jobs)
    const run = crypto.randomUUID()
    const [name, key] = [`${run}-1.parquet`, `${model}/results/${run}-1.parquet`]
    await jobs.db.query(
      `INSERT INTO query_run (id, model, version, work, digest, state, attempt, row_count, columns, expires_at, ended_at, traceparent)
       VALUES ($1, $2, 2, '{}', '', 'DONE', 1, 0, '[]', now() + interval '1 hour', now(), '')`,
      [run, model],
    )
    await jobs.db.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, query_run)
       VALUES ($1, 2, 'RESULT', $2, $3, 1, repeat('0', 64), $4)`,
      [model, name, jobs.objects.uri(key), run],
    )
    await jobs.objects.put(key, Buffer.from('r'))
    await deleted(jobs, model)
    await clearStore(jobs)
    await removeResults(jobs)
    expect(await keysOf(jobs.objects.list(`${model}/`))).toEqual([])
    expect(await known(jobs, model)).toEqual(NOTHING)
  })

  test('stays as long as another model would be made again from it', async () => {
    await using jobs = await openLosable(options())
    const source = await archivedModel(jobs)
    const { id: copy } = await jobs.models.create({ kind: 'sales', from: { model: source } })
    const nobody = await nobodysStore()
    const unarchived = jobs.startManager({ objects: nobody })
    await unarchived.hold(copy)
    const [intent] = await jobs.ledger.intents({ model: copy }, { limit: 1 })
    await jobs.ended(intent?.id ?? '')
    await unarchived.close()
    await nobody.close()
    const before = await jobs.rows(copy)
    const objects = await namesOf(jobs, source)

    await deleted(jobs, source)
    await removeDeleted(jobs)
    await expect(access(join(jobs.dataDir, 'models', source))).rejects.toThrow('ENOENT')
    await clearStore(jobs)
    expect(await namesOf(jobs, source)).toEqual(objects)
    await jobs.loseDisk()
    await jobs.startManager({ archiveRest: NO_REST }).hold(copy)
    expect(await jobs.rows(copy)).toEqual(before)

    await jobs.archived(copy)
    await clearStore(jobs)
    expect(await namesOf(jobs, source)).toEqual([])
    expect(await known(jobs, source)).toEqual(NOTHING)
  })

  test('stays while an intent is under way that reads it', async () => {
    await using jobs = await openLosable(options())
    const source = await archivedModel(jobs)
    const { id: copy } = await jobs.models.create({ kind: 'sales', from: { model: source } })
    await deleted(jobs, source)
    await clearStore(jobs)
    expect(await namesOf(jobs, source)).not.toEqual([])
    await jobs.startManager({ archiveRest: NO_REST }).hold(copy)
    const [intent] = await jobs.ledger.intents({ model: copy }, { limit: 1 })
    expect(await jobs.ended(intent?.id ?? '')).toMatchObject({ status: 'FAILED' })
    await clearStore(jobs)
    expect(await namesOf(jobs, source)).toEqual([])
  })
})
