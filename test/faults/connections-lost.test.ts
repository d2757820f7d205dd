import { expect, test } from 'vitest'
import { comesTrue } from '../support/comes-true.ts'
import { TRIAL_KINDS } from '../support/control.ts'
import { openLaunched } from '../support/launched.ts'
import { query } from '../support/postgres.ts'
import { trialsOn } from '../support/trials.ts'

const WAVES = 8
const WAVE = 12

test('every connection of a manager is lost again and again in a stream of appends: it lives, and the line goes on', {
  timeout: 120_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS })
  const { append, entries, newModel } = trialsOn(launched)
  const model = await newModel()
  await launched.ended((await append(model, 'first')).id)
  const terminate = () =>
    query(
      launched.url,
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE datname = current_database() AND application_name LIKE 'teatree manager%'`,
    )
  const intents = []
  for (let wave = 0; wave < WAVES; wave++) {
    const appends = Array.from({ length: WAVE }, (_, index) => append(model, `${wave}-${index}`))
    while ((await terminate()).length === 0);
    const accepted = await Promise.all(appends)
    intents.push(...accepted)
    // Again in the midst of what the last loss has left.
    await launched.ended(accepted[0]?.id ?? '')
  }
  const ended = []
  for (const { id } of intents) ended.push(await launched.ended(id))
  const renewals = `SELECT FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'teatree manager-1 leases'`
  expect(await comesTrue(async () => (await query(launched.url, renewals)).length > 0)).toBe(true)
  expect(new Set(ended.map(({ status }) => status))).toEqual(new Set(['PUBLISHED']))
  expect(ended.map(({ seq }) => Number(seq)).sort((a, b) => a - b)).toEqual(intents.map((_, index) => index + 2))
  const expected = Array.from({ length: WAVES * WAVE }, (_, n) => `${Math.floor(n / WAVE)}-${n % WAVE}`)
  expect(await entries(model)).toEqual([...expected, 'first'].sort())
  // By itself, that is: the same manager, with the lease it had.
  expect(await launched.models.get(model)).toMatchObject({
    epoch: 1,
    lastSeq: BigInt(intents.length + 1),
    blocked: null,
  })
})
