import { copyFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ModelFiles } from '../../src/jobs/model-files.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { type Managed, openManaged } from '../support/managed.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged({ kindsDir: TRIAL_KINDS })
})
afterAll(() => managed[Symbol.asyncDispose]())

const append = (entryId: string) => ['appendTrialEntries', { rows: [{ entryId, note: null }] }] as const

test('files that are not what was published are neither read nor written on, and the line goes on once they are again', async () => {
  const { id: model } = await managed.models.create({ kind: 'trial' })
  const first = managed.startManager()
  await first.hold(model)
  for (const entryId of ['A', 'B']) await managed.run(model, ...append(entryId))
  await first.close()

  const files = new ModelFiles(managed.dataDir, model)
  const [older, newest] = [1, 2].map(version => join(files.versionDir(version, 1), 'model.duckdb'))
  if (!older || !newest) throw new Error('there are no files')
  const aside = join(managed.dataDir, 'aside.duckdb')
  await copyFile(newest, aside)
  await copyFile(older, newest)
  const code = 'INTERNAL'
  const message = `The files of version 2 of model ${model} are not what was published: they hold version 1 up to seq 1.`
  await expect(managed.snapshots.acquire(model, null, 0)).rejects.toMatchObject({ code, message })

  const [name, args] = append('C')
  const intent = await managed.submitter.submit({ model, function: name, arguments: args })
  await managed.startManager().hold(model)
  const isBlocked = async () => (await managed.models.get(model))?.blocked != null
  expect(await managed.completions.until(model, isBlocked, 20_000)).toBe(true)
  expect(await managed.models.managers([model])).toMatchObject([{ state: 'BLOCKED', reason: { code, message } }])

  await copyFile(aside, newest)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 3 })
  const { reader, release } = await managed.snapshots.acquire(model, null, 0)
  expect(await reader.tables()).toMatchObject([{ name: 'entries', rows: 3 }, { name: 'seen' }])
  release()
})
