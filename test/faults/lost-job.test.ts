import { expect, test } from 'vitest'
import { TRIAL_KINDS } from '../support/control.ts'
import { openLaunched } from '../support/launched.ts'
import { trialsOn } from '../support/trials.ts'
import { unheard } from '../support/unheard.ts'

test('a job that was lost, of which no notice came, is sent again, and its intent is applied once', {
  timeout: 120_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, lostSeconds: 1 })
  const { append, entries, newModel } = trialsOn(launched)
  const model = await newModel()
  await launched.ended((await append(model, 'A')).id)
  const entryIds = ['A']
  // Where the manager was just looking, it needs no job to find the intent, and another one is lost.
  for (let sentAgain = false; !sentAgain; ) {
    const entryId = `lost ${entryIds.length}`
    const intent = await launched.db.transaction(async tx => {
      const args = { rows: [{ entryId, note: null }] }
      const submission = { model, function: 'appendTrialEntries', arguments: args, alone: false }
      const accepted = await launched.ledger.insert(unheard(tx), submission)
      await tx.query('DELETE FROM pgboss.job WHERE id = $1', [accepted.id])
      return accepted
    })
    entryIds.push(entryId)
    expect(await launched.ended(intent.id)).toMatchObject({ status: 'PUBLISHED', attempts: 1 })
    const jobs = await launched.db.query(`SELECT FROM pgboss.job WHERE data->>'intent' = $1`, [intent.id])
    sentAgain = jobs.length > 0
  }
  expect(await entries(model)).toEqual(entryIds)
})

test('a model that its manager has lost is dispatched again, and so is one whose archive is behind', {
  timeout: 120_000,
}, async () => {
  await using launched = await openLaunched({ kindsDir: TRIAL_KINDS, managers: 2 })
  const { append, entries, newModel, until } = trialsOn(launched)
  const model = await newModel()
  await launched.ended((await append(model, 'A')).id)
  await until(model, async () => {
    if (!launched.launcher.holds(model)) return true
    // Again, where a renewal was under way: it comes after what it has waited for.
    await launched.db.query(`UPDATE model_lease SET expires_at = now() - interval '1 second' WHERE model = $1`, [model])
    return false
  })
  // No work waits, and still nobody but a manager can do this.
  await launched.db.query('UPDATE goal_model SET archived_version = 0 WHERE id = $1', [model])
  await until(model, async () => (await launched.models.get(model))?.archivedVersion === 1)
  expect(await launched.ended((await append(model, 'B')).id)).toMatchObject({ status: 'PUBLISHED', version: 2 })
  expect(await entries(model)).toEqual(['A', 'B'])
})
