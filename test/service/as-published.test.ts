import { truncate } from 'node:fs/promises'
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

test('files that are not what was published are neither read nor written on: they are made again, and the line goes on', async () => {
  const { id: model } = await managed.models.create({ kind: 'trial' })
  const first = managed.startManager()
  await first.hold(model)
  for (const entryId of ['A', 'B']) await managed.run(model, ...append(entryId))
  await first.close()

  const files = new ModelFiles(managed.dataDir, model)
  // Without what is in its WAL, the base of version 2 is version 1.
  await truncate(join(files.versionDir(2, 1), 'base.duckdb.wal'))
  await expect(managed.snapshots.acquire(model, null, 0)).rejects.toMatchObject({ code: 'UNAVAILABLE' })

  const [name, args] = append('C')
  const intent = await managed.submitter.submit({ model, function: name, arguments: args })
  await managed.startManager().hold(model)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 3 })
  const again = await managed.snapshots.acquire(model, { version: 2 }, 0)
  expect(again.reader).toMatchObject({ version: 2, lastSeq: 2n })
  expect(await again.reader.tables()).toMatchObject([{ name: 'entries', rows: 2 }, { name: 'seen' }])
  again.release()
  const { reader, release } = await managed.snapshots.acquire(model, null, 0)
  expect(await reader.tables()).toMatchObject([{ name: 'entries', rows: 3 }, { name: 'seen' }])
  release()
})
