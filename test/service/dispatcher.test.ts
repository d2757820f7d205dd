import { expect, test } from 'vitest'
import { Dispatcher } from '../../src/jobs/dispatcher.ts'
import type { Launcher, Risk } from '../../src/jobs/launcher.ts'
import { comesTrue } from '../support/comes-true.ts'
import { openControl, quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'

/** Where each is held once, and nothing is started. */
const asking = (asked: Map<string, Risk>): Launcher => ({
  holds: model => asked.has(model),
  hold(model, risk) {
    if (!asked.has(model)) asked.set(model, risk)
  },
  isStarting: () => false,
  giveUp: () => {},
  fault: () => null,
  metrics: async () => ({}),
  close: async () => {},
})

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
  const asked = new Map<string, Risk>()
  const launcher = asking(asked)
  const dispatcher = async (archivesMs: number, until: number) => {
    const looking = new Dispatcher({ ...control, launcher, log: quiet, archivesMs })
    looking.start()
    expect(await comesTrue(async () => asked.size >= until)).toBe(true)
    // What it looks at once more it does not hold sooner.
    looking.look()
    await looking.close()
  }
  await dispatcher(600_000, 2)
  expect([...asked.keys()].toSorted()).toEqual([changed?.id, working?.id].sort())
  await dispatcher(10, 3)
  expect([...asked.keys()].at(-1)).toBe(behind?.id)
})

test('a model is troubled for ten minutes after an intent of it was PARKED', async () => {
  await using control = await openControl()
  const { db, ledger, models } = control
  const append = (model: string, orderId: string) =>
    ledger.submit({ model, function: 'appendSales', arguments: { rows: [sale({ orderId })] }, alone: false })
  const parkedAgo = async (minutes: number): Promise<string> => {
    const { id } = await models.create({ kind: 'sales' })
    const { id: intent } = await append(id, 'A')
    await db.query(
      `UPDATE intent SET status = 'PARKED', ended_at = clock_timestamp() - make_interval(mins => $2) WHERE id = $1`,
      [intent, minutes],
    )
    await append(id, 'B')
    return id
  }
  const [lately, before] = [await parkedAgo(9), await parkedAgo(11)]
  const asked = new Map<string, Risk>()
  const dispatcher = new Dispatcher({ ...control, launcher: asking(asked), log: quiet })
  dispatcher.start()
  expect(await comesTrue(async () => asked.size === 2)).toBe(true)
  await dispatcher.close()
  expect(asked.get(lately)).toMatchObject({ deaths: 0, isTroubled: true })
  expect(asked.get(before)).toMatchObject({ deaths: 0, isTroubled: false })
})
