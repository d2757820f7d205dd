import { expect, test } from 'vitest'
import { Dispatcher } from '../../src/jobs/dispatcher.ts'
import type { Launcher } from '../../src/jobs/launcher.ts'
import { comesTrue } from '../support/comes-true.ts'
import { openControl, quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'

test('models with work, or with another shape of their kind, are held before those whose archives alone are behind', async () => {
  await using control = await openControl()
  const { db, ledger, models } = control
  const [behind, changed, working] = await Promise.all([0, 1, 2].map(() => models.create({ kind: 'sales' })))
  const published = `UPDATE goal_model SET version = 1, archived_version = $2, shape = $3 WHERE id = $1`
  const shape = JSON.stringify(control.kinds.get('sales')?.shape)
  await db.query(published, [behind?.id, 0, shape])
  await db.query(published, [changed?.id, 1, '{}'])
  const work = {
    model: working?.id ?? '',
    function: 'appendSales',
    arguments: { rows: [sale({ orderId: 'A' })] },
    alone: false,
  }
  await ledger.submit(work)
  const held: string[] = []
  // Where each is held once, and nothing is started.
  const launcher: Launcher = {
    holds: model => held.includes(model),
    hold: model => {
      if (!held.includes(model)) held.push(model)
    },
    isStarting: () => false,
    giveUp: () => {},
    fault: () => null,
    metrics: async () => ({}),
    close: async () => {},
  }
  const dispatcher = async (archivesMs: number, until: number) => {
    const looking = new Dispatcher({ ...control, launcher, log: quiet, archivesMs })
    looking.start()
    expect(await comesTrue(async () => held.length >= until)).toBe(true)
    // What it looks at once more it does not hold sooner.
    looking.look()
    await looking.close()
  }
  await dispatcher(600_000, 2)
  expect(held.toSorted()).toEqual([changed?.id, working?.id].sort())
  await dispatcher(10, 3)
  expect(held.at(-1)).toBe(behind?.id)
})
