import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { openLaunched } from '../support/launched.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { trialsOn } from '../support/trials.ts'

const lag = async (managed: Managed, model: string) => (await managed.models.managers([model]))[0]?.archiveLag

test('while the store is away publishing goes on, and the archive catches up by itself', {
  timeout: 120_000,
}, async () => {
  await using stack = new AsyncDisposableStack()
  const folder = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-store-')), path => rm(path, { recursive: true }))
  const store = join(folder, 'store')
  // Where the store's folder should be, there is none to be had.
  await writeFile(store, '')
  const managed = stack.use(
    await openManaged({ kindsDir: TRIAL_KINDS, storeUrl: pathToFileURL(join(store, 'objects')).href }),
  )
  const { append, newModel, until } = trialsOn(managed)
  const models = [await newModel(), await newModel()] as const
  const manager = managed.startManager()
  for (const model of models) {
    await manager.hold(model)
    for (const entry of ['A', 'B', 'C'])
      expect(await managed.ended((await append(model, entry)).id)).toMatchObject({ status: 'PUBLISHED' })
    expect(await lag(managed, model)).toBe(3)
    expect(await managed.models.get(model)).toMatchObject({ version: 3, archivedVersion: 0, blocked: null })
  }
  await rm(store)
  for (const model of models) {
    await until(model, async () => (await lag(managed, model)) === 0)
    const content = await listContent(managed.db, { model, form: 'PARQUET' }, { limit: 10 })
    expect(content.map(({ version, table }) => [version, table])).toEqual([
      [3, 'entries'],
      [3, 'seen'],
    ])
  }
})

test('a store that nobody answers for holds up no version', { timeout: 120_000 }, async () => {
  await using launched = await openLaunched({
    kindsDir: TRIAL_KINDS,
    env: {
      TEATREE_STORE_URL: 's3://nobody/there',
      AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1',
      AWS_REGION: 'us-east-1',
      AWS_ACCESS_KEY_ID: 'nobody',
      AWS_SECRET_ACCESS_KEY: 'nothing',
    },
  })
  const { append, entries, newModel } = trialsOn(launched)
  const model = await newModel()
  for (const entry of ['A', 'B', 'C'])
    expect(await launched.ended((await append(model, entry)).id)).toMatchObject({ status: 'PUBLISHED' })
  expect(await entries(model)).toEqual(['A', 'B', 'C'])
  expect(await launched.models.managers([model])).toMatchObject([{ state: 'RUNNING', reason: null, archiveLag: 3 }])
})
