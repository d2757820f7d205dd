import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import type { ObjectStore } from '../../src/platform/objects/index.ts'
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
    // One that was on its way as the store came back may be there, too.
    const content = await listContent(managed.db, { model, version: 3, form: 'PARQUET' }, { limit: 10 })
    expect(content.map(({ version, table }) => [version, table])).toEqual([
      [3, 'entries'],
      [3, 'seen'],
    ])
  }
})

/** The store as one who is slow: everything that it is asked for waits for its turn. */
const slowly = (objects: ObjectStore, turn: () => Promise<void>): ObjectStore =>
  new Proxy(objects, {
    get(store, name) {
      const value = Reflect.get(store, name)
      if (typeof value !== 'function') return value
      if (!['put', 'putFile', 'get', 'head'].includes(String(name))) return value.bind(store)
      return async (...args: unknown[]) => {
        await turn()
        return value.apply(store, args)
      }
    },
  })

test('a slow store holds up no version and gathers none; when it is quick again the archive catches up by itself', async () => {
  await using managed = await openManaged({ kindsDir: TRIAL_KINDS })
  const { append, newModel, until } = trialsOn(managed)
  const waiting: (() => void)[] = []
  let isSlow = true
  const turn = async () => {
    if (isSlow) await new Promise<void>(resolve => waiting.push(resolve))
  }
  const model = await newModel()
  const objects = slowly(managed.objects, turn)
  await managed.startManager({ objects, archiveRest: { ms: 0, times: 0 } }).hold(model)
  await managed.ended((await append(model, '1')).id)
  await until(model, async () => waiting.length === 1)
  // It does one thing for every second version.
  const versions = 20
  for (let version = 2; version <= versions; version++) {
    expect(await managed.ended((await append(model, `${version}`)).id)).toMatchObject({ status: 'PUBLISHED', version })
    expect(waiting.length).toBeLessThanOrEqual(1)
    if (version % 2 === 0) waiting.shift()?.()
  }
  expect(await managed.models.get(model)).toMatchObject({ version: versions, blocked: null })
  // Kept are the newest and what is on its way to the store, and no more of all those that it has not.
  const kept = async () => (await managed.snapshots.kept(model, 100, null)).length
  await expect.poll(kept).toBeLessThanOrEqual(4)

  isSlow = false
  for (const go of waiting) go()
  await until(model, async () => (await lag(managed, model)) === 0)
  const archives = await managed.db.query<{ version: number }>('SELECT version FROM archive WHERE model = $1', [model])
  expect(archives.map(({ version }) => version)).toContain(versions)
  expect(archives.length).toBeLessThan(versions / 3)
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
