import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { loadKinds } from '../../src/kinds/registry.ts'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { fillBatches } from '../support/fill-batches.ts'
import { type Managed, openManaged } from '../support/managed.ts'

let managed: Managed
beforeAll(async () => {
  managed = await openManaged({ kindsDir: TRIAL_KINDS })
})
afterAll(() => managed[Symbol.asyncDispose]())

const newModel = async () => (await managed.models.create({ kind: 'trial' })).id
const rows = (...ids: string[]) => ({ rows: ids.map(entryId => ({ entryId, note: null })) })
const submit = (model: string, fn: string, args: Record<string, unknown>) =>
  managed.submitter.submit({ model, function: fn, arguments: args })

async function until(look: () => Promise<boolean>): Promise<void> {
  expect(await comesTrue(look)).toBe(true)
}
const isBlocked = async (model: string) => (await managed.models.get(model))?.blocked != null
const statusOf = async (intent: string) => (await managed.ledger.intent(intent))?.status

/** A file where the model's scratch folder should be: its database cannot be opened. */
async function obstruct(model: string): Promise<() => Promise<void>> {
  const folder = join(managed.dataDir, 'models', model)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'scratch'), '')
  return () => rm(join(folder, 'scratch'))
}

test('a fault of the surroundings blocks the model and fails no intent; once it is gone the line goes on', async () => {
  const model = await newModel()
  const clear = await obstruct(model)
  const intent = await submit(model, 'appendTrialEntries', rows('A'))
  await managed.startManager().hold(model)
  await until(() => isBlocked(model))
  // While it is just being tried again the intent is RUNNING; what was counted for a try is taken back after it.
  await until(async () => {
    const { status, attempts, solo } = (await managed.ledger.intent(intent.id)) ?? {}
    return status === 'QUEUED' && attempts === 0 && solo === 0
  })
  expect(await managed.models.managers([model])).toMatchObject([{ state: 'BLOCKED', reason: { code: 'UNAVAILABLE' } }])
  await clear()
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 1, attempts: 1 })
  expect(await isBlocked(model)).toBe(false)
})

/** Of a model that nobody holds: so many batches of one row each. */
async function submitBatches(model: string, count: number): Promise<string[]> {
  const intents: string[] = []
  while (intents.length < count) intents.push((await submit(model, 'appendTrialEntries', rows(`${intents.length}`))).id)
  await fillBatches(managed.db, model)
  return intents
}

test('what was taken behind a batch that is blocked goes back to the line with it, and follows it in its order', async () => {
  const model = await newModel()
  const clear = await obstruct(model)
  const intents = await submitBatches(model, 4)
  await managed.startManager().hold(model)
  await until(() => isBlocked(model))
  await until(async () => {
    const found = await Promise.all(intents.map(id => managed.ledger.intent(id)))
    return found.every(intent => intent?.status === 'QUEUED' && intent.attempts === 0)
  })
  await clear()
  for (const [place, id] of intents.entries())
    expect(await managed.ended(id)).toMatchObject({ status: 'PUBLISHED', version: place + 1, attempts: 1 })
})

test('what was taken behind a batch goes back to the line as the manager stops, and each is applied once', async () => {
  const model = await newModel()
  const intents = await submitBatches(model, 40)
  const manager = managed.startManager()
  await manager.hold(model)
  await managed.ended(intents[0] ?? '')
  await manager.close()
  const found = await Promise.all(intents.map(id => managed.ledger.intent(id)))
  const waiting = found.filter(intent => intent?.status !== 'PUBLISHED')
  expect(waiting.length).toBeGreaterThan(0)
  for (const intent of waiting) expect(intent).toMatchObject({ status: 'QUEUED', attempts: 0, startedAt: null })
  await managed.startManager().hold(model)
  for (const [place, id] of intents.entries())
    expect(await managed.ended(id)).toMatchObject({ status: 'PUBLISHED', version: place + 1, attempts: 1 })
})

test('a model is BLOCKED no longer when what blocked it was cancelled', async () => {
  const model = await newModel()
  await obstruct(model)
  const intent = await submit(model, 'appendTrialEntries', rows('A'))
  await managed.startManager().hold(model)
  await until(() => isBlocked(model))
  // Where it is just being tried again it cannot be cancelled.
  const cancelled = () =>
    managed.ledger.cancel(intent.id).then(
      () => true,
      () => false,
    )
  await until(cancelled)
  await until(async () => !(await isBlocked(model)))
})

test('a model that was left BLOCKED, with nothing waiting, is so no longer when it is held', async () => {
  const model = await newModel()
  await managed.db.query(`UPDATE goal_model SET blocked = '{"code":"UNAVAILABLE"}', retry_at = now() WHERE id = $1`, [
    model,
  ])
  await managed.startManager().hold(model)
  await until(async () => !(await isBlocked(model)))
})

test('a model of a kind that a manager does not know is BLOCKED and says so, and free for one that does', async () => {
  const model = await newModel()
  const intent = await submit(model, 'appendTrialEntries', rows('A'))
  const ignorant = managed.startManager({ kinds: await loadKinds() })
  await expect(ignorant.hold(model)).rejects.toMatchObject({ code: 'UNKNOWN_KIND' })
  expect(await managed.models.managers([model])).toMatchObject([{ state: 'BLOCKED', reason: { code: 'UNKNOWN_KIND' } }])
  expect(await managed.startManager().hold(model)).toBe(true)
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED' })
  expect(await isBlocked(model)).toBe(false)
})

test('a model that is released twice at once, and asked for again meanwhile, is held and served', async () => {
  const model = await newModel()
  const manager = managed.startManager()
  await manager.hold(model)
  await managed.run(model, 'appendTrialEntries', rows('A'))
  const again = [manager.release(model), manager.release(model), manager.hold(model)] as const
  await Promise.all(again)
  expect(await again[2]).toBe(true)
  expect(await managed.run(model, 'appendTrialEntries', rows('B'))).toMatchObject({ status: 'PUBLISHED', version: 2 })
  expect(await managed.models.managers([model])).toMatchObject([{ state: 'RUNNING', epoch: 2 }])
})

test('a function that is under way as its manager stops goes back to the line, and is not counted', async () => {
  const model = await newModel()
  const file = join(managed.dataDir, 'done')
  const manager = managed.startManager()
  await manager.hold(model)
  const intent = await submit(model, 'trialLinger', { until: file })
  await until(async () => (await managed.ledger.intent(intent.id))?.step === 'waiting')
  await manager.close()
  expect(await managed.ledger.intent(intent.id)).toMatchObject({ status: 'QUEUED', attempts: 0, solo: 0, step: null })
  expect(await manager.hold(model)).toBe(false)
  await managed.startManager().hold(model)
  await until(async () => (await statusOf(intent.id)) === 'RUNNING')
  await writeFile(file, '')
  expect(await managed.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', version: 1, attempts: 1 })
})

test('a deleted model is dropped by the manager that was at work on it', async () => {
  const model = await newModel()
  const released = Promise.withResolvers<string>()
  const manager = managed.startManager({ onReleased: released.resolve })
  await manager.hold(model)
  const intent = await submit(model, 'trialLinger', { until: join(managed.dataDir, 'never') })
  await until(async () => (await managed.ledger.intent(intent.id))?.step === 'waiting')
  await managed.models.delete(model)
  expect(await released.promise).toBe(model)
  expect(await statusOf(intent.id)).toBe('CANCELLED')
  expect(await managed.models.get(model)).toBeNull()
})

test('a cancelled intent wakes those who follow the log', async () => {
  const model = await newModel()
  const intent = await submit(model, 'appendTrialEntries', rows('A'))
  const ended = Promise.withResolvers<string>()
  const stop = managed.completions.onNotice(notice => {
    if (notice.is === 'ended') ended.resolve(notice.model)
  })
  await managed.ledger.cancel(intent.id)
  expect(await ended.promise).toBe(model)
  stop()
})
