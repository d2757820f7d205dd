import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test, vi } from 'vitest'
import { removeUploads } from '../../src/jobs/retention.ts'
import { type Managed, openManaged } from '../support/managed.ts'

test('an upload that several look into at once is described to each of them', async () => {
  await using managed = await openManaged()
  const rows = Array.from({ length: 20_000 }, (_, row) => `${row},site ${row}\n`)
  const body = ['siteId,name\n', ...rows].map(line => Buffer.from(line))
  const upload = await managed.uploads.receive(
    (async function* () {
      yield* body
    })(),
    {},
  )
  const described = await Promise.all(Array.from({ length: 6 }, () => managed.uploads.describe(upload)))
  for (const { columns } of described) expect(columns.map(({ name }) => name)).toEqual(['siteId', 'name'])
  expect(await readdir(join(managed.dataDir, 'uploads'))).toEqual([])
})

const bytes = (text: string) =>
  (async function* () {
    yield Buffer.from(text)
  })()
async function keysOf(managed: Managed): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of managed.objects.list('uploads/')) keys.push(key)
  return keys
}

test('an upload that nobody asks for is collected by its age; one whose rows no archive holds yet is kept', async () => {
  await using managed = await openManaged()
  const model = await managed.models.create({ kind: 'sales' })
  const orphan = await managed.uploads.receive(bytes('siteId,name\n1,one\n'), {})
  const used = await managed.uploads.receive(bytes('siteId,name\n2,two\n'), {})
  const source = { upload: { id: used.id } }
  const intent = await managed.submitter.submit({
    model: model.id,
    function: 'importSites',
    arguments: { source, mode: 'APPEND' },
  })
  await mkdir(join(managed.dataDir, 'uploads'))
  await writeFile(join(managed.dataDir, 'uploads', 'left.csv'), 'of a process that was killed')

  await removeUploads(managed, 3600)
  expect(await keysOf(managed)).toHaveLength(2)
  await removeUploads(managed, 0)
  expect(await keysOf(managed)).toEqual([used.key])
  expect(await managed.uploads.get(orphan.id)).toBeNull()
  expect(await readdir(join(managed.dataDir, 'uploads'))).toEqual([])
  const late = { model: model.id, function: 'importSites', arguments: { source: { upload: { id: orphan.id } } } }
  await expect(managed.submitter.submit(late)).rejects.toMatchObject({ code: 'UPLOAD_NOT_FOUND' })

  await managed.startManager().hold(model.id)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED' })
  await vi.waitUntil(async () => (await managed.models.get(model.id))?.archivedVersion === 1, { timeout: 30_000 })
  await removeUploads(managed, 0)
  expect(await keysOf(managed)).toEqual([])
})

test('an import that is asked for as its upload is collected has it, or is told that it is gone', async () => {
  await using managed = await openManaged()
  const { id: model } = await managed.models.create({ kind: 'sales' })
  for (let round = 0; round < 20; round++) {
    const { id, key } = await managed.uploads.receive(bytes('siteId,name\n1,one\n'), {})
    await managed.db.query(`UPDATE upload SET used_at = used_at - interval '2 hours' WHERE id = $1`, [id])
    const asked = managed.submitter
      .submit({ model, function: 'importSites', arguments: { source: { upload: { id } } } })
      .then(
        () => 'accepted',
        ({ code }) => code,
      )
    const [outcome] = await Promise.all([asked, removeUploads(managed, 3600)])
    expect([outcome, await managed.objects.head(key)]).toEqual(
      outcome === 'accepted' ? ['accepted', expect.anything()] : ['UPLOAD_NOT_FOUND', null],
    )
  }
})
