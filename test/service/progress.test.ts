import { afterAll, beforeAll, expect, test } from 'vitest'
import { stepReporter } from '../../src/jobs/progress.ts'
import { type Control, openControl } from '../support/control.ts'

let control: Control
beforeAll(async () => {
  control = await openControl()
})
afterAll(() => control[Symbol.asyncDispose]())

async function runningIntent() {
  const { id: model } = await control.models.create({ kind: 'sales' })
  const intent = await control.ledger.submit({ model, function: 'appendSites', arguments: { rows: [] }, alone: false })
  await control.db.query(`UPDATE intent SET status = 'RUNNING', started_at = now() WHERE id = $1`, [intent.id])
  return intent
}

test('the last step before a long pause is written when its time has come; those between are left out', async () => {
  const intent = await runningIntent()
  const pauses: { ms: number; end: (value?: unknown) => void }[] = []
  const report = stepReporter(control.db, intent, ms => new Promise(end => pauses.push({ ms, end })))
  const step = async () => {
    const { step, progress } = (await control.ledger.intent(intent.id)) ?? {}
    return [step, progress]
  }
  const paused = (times: number) => expect.poll(() => pauses.length).toBe(times)
  report('read', 0.5)
  await paused(1)
  expect(await step()).toEqual(['read', 0.5])
  report('check', null)
  report('sort', 0.25)
  expect(await step()).toEqual(['read', 0.5])
  pauses[0]?.end()
  await paused(2)
  expect(await step()).toEqual(['sort', 0.25])
  expect(pauses.map(({ ms }) => ms)).toEqual([200, 200])
  // After a pause in which nothing was told the next is written at once.
  pauses[1]?.end()
  await new Promise(setImmediate)
  report('write', null)
  await paused(3)
  expect(await step()).toEqual(['write', null])
})

test('what has ended keeps its last step', async () => {
  const intent = await runningIntent()
  const written = Promise.withResolvers<void>()
  const report = stepReporter(control.db, intent, async () => written.resolve())
  await control.db.query(`UPDATE intent SET status = 'FAILED', ended_at = now(), step = 'last' WHERE id = $1`, [
    intent.id,
  ])
  report('late', 1)
  await written.promise
  expect(await control.ledger.intent(intent.id)).toMatchObject({ step: 'last', progress: null })
})
