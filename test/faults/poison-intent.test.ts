import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { openLaunched } from '../support/launched.ts'
import { trialsOn } from '../support/trials.ts'

/** Between two of the neighbour's: written as fast as can be, they would take the processor from the managers that start. */
const REST_MS = 50

test('an intent that always kills its manager is PARKED after three, leaves nothing behind, and the line goes on; the managers of other models go down once, where there are many to a spare one', {
  timeout: 240_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, managers: 1, withoutSpare: 1 })
  const { append, crash, entries, newModel, until } = trialsOn(launched)
  const [model, neighbour] = [await newModel(), await newModel()]
  await launched.ended((await append(neighbour, 'A')).id)
  const first = await append(model, 'A')
  await launched.ended(first.id)
  // It is up before the first death, and has had nothing to do.
  let spare = ''
  await until(model, async () => {
    spare = (await launched.launcher.metrics())['manager-2'] ?? ''
    return spare !== ''
  })
  expect(spare).not.toContain('teatree_intents_ended')
  const intents = [first, await crash(model), await append(model, 'B'), await append(model, 'C')]
  let isOver = false
  const over = Promise.all(intents.map(({ id }) => launched.ended(id))).finally(() => {
    isOver = true
  })
  const written = ['A']
  while (!isOver) {
    written.push(`B${written.length}`)
    const { id } = await append(neighbour, written.at(-1) ?? '')
    expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED' })
    await wait(REST_MS)
  }
  const ended = await over
  expect(ended.map(({ status }) => status)).toEqual(['PUBLISHED', 'PARKED', 'PUBLISHED', 'PUBLISHED'])
  expect(ended[1]).toMatchObject({ version: null, error: { code: 'INTERNAL' }, attempts: 4 })
  expect(await entries(model)).toEqual(['A', 'B', 'C'])
  expect(await entries(neighbour)).toEqual(written.toSorted())
  // One manager for each of its three deaths, the one that set it aside, and the one for what is troubled.
  expect(await launched.models.get(model)).toMatchObject({ epoch: 5, blocked: null })
  expect((await launched.models.get(neighbour))?.epoch).toBeLessThanOrEqual(2)
  await until(neighbour, async () =>
    Boolean((await launched.launcher.metrics())['manager-2']?.includes('teatree_intents_ended')),
  )
  const again = await launched.ledger.retry(ended[1]?.id ?? '', null)
  expect(again).toMatchObject({ seq: 5n, status: 'QUEUED', attempts: 0 })
  expect(await launched.ended(again.id)).toMatchObject({ status: 'PARKED' })
})

test('a model of which an intent was PARKED is kept apart for a while: what kills its manager takes nobody down with it', {
  timeout: 240_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, managers: 1 })
  const { append, crash, newModel } = trialsOn(launched)
  const [model, neighbour] = [await newModel(), await newModel()]
  const parked = async () => expect(await launched.ended((await crash(model)).id)).toMatchObject({ status: 'PARKED' })
  const published = async (id: string, name: string) =>
    expect(await launched.ended((await append(id, name)).id)).toMatchObject({ status: 'PUBLISHED' })
  const epoch = async () => (await launched.models.get(neighbour))?.epoch
  await published(neighbour, 'A')
  await parked()
  await published(neighbour, 'B')
  expect(await epoch()).toBe(2)
  await published(model, 'A')
  await parked()
  await published(neighbour, 'C')
  expect(await epoch()).toBe(2)
})

test('of more suspects than have processes of their own at the same time each has its turn, and the processes end with what they are suspected of', {
  timeout: 240_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, managers: 1 })
  const { append, crash, linger, newModel, until, untilWaiting } = trialsOn(launched)
  const done = join(launched.dataDir, 'done')
  const models = [
    await newModel(),
    await newModel(),
    await newModel(),
    await newModel(),
    await newModel(),
    await newModel(),
  ]
  const functions = []
  for (const model of models) functions.push(await linger(model, done))
  for (const intent of functions) await untilWaiting(intent)
  const culprit = await crash(await newModel())
  await writeFile(done, '')
  expect(await launched.ended(culprit.id)).toMatchObject({ status: 'PARKED' })
  for (const { id } of functions) expect(await launched.ended(id)).toMatchObject({ status: 'PUBLISHED', attempts: 2 })
  for (const model of models)
    expect(await launched.ended((await append(model, 'A')).id)).toMatchObject({ status: 'PUBLISHED' })
  await until('of all', async () => Object.keys(await launched.launcher.metrics()).length === 1)
})
