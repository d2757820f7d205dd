import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { LocalLauncher } from '../../src/jobs/launcher.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { comesTrue } from '../support/comes-true.ts'
import { quiet } from '../support/control.ts'
import { type Managed, openManaged } from '../support/managed.ts'
import { environment, PROGRAM } from '../support/manager-process.ts'

interface Launched extends Managed {
  launcher: LocalLauncher
  /** A model that nobody holds. */
  model: string
  /** What the launcher has asked to be looked for. */
  lost: string[]
}

async function openLauncher(restMs: number): Promise<Launched> {
  const stack = new AsyncDisposableStack()
  const managed = stack.use(await openManaged())
  const lost: string[] = []
  const launcher = new LocalLauncher({
    db: managed.db,
    log: quiet,
    program: PROGRAM,
    env: environment({ TEATREE_DATABASE_URL: managed.url, TEATREE_DATA_DIR: managed.dataDir }),
    managers: 1,
    restMs,
    onLost: model => lost.push(model),
  })
  stack.defer(() => launcher.close())
  const { id } = await managed.models.create({ kind: 'sales' })
  return { ...managed, launcher, model: id, lost, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('a manager that is refused a model, whose lease is a dead one’s yet, has it looked for again', async () => {
  await using launched = await openLauncher(0)
  const { launcher, model, lost } = launched
  await new Leases(launched.db, randomUUID()).acquire(model)
  launcher.hold(model, { deaths: 0, isTroubled: false })
  expect(await comesTrue(async () => lost.length > 0)).toBe(true)
  expect(lost).toEqual([model])
  expect(launcher.holds(model)).toBe(false)
})

test('a suspect rests after each death, and is then looked for; one that is none does not', async () => {
  await using launched = await openLauncher(100)
  const { launcher, model, lost } = launched
  for (const deaths of [1, 2]) {
    lost.length = 0
    for (let asked = 0; asked < 2; asked++) launcher.hold(model, { deaths, isTroubled: false })
    expect(launcher.holds(model)).toBe(false)
    expect(await comesTrue(async () => lost.length > 0)).toBe(true)
    expect(lost).toEqual([model])
  }
  launcher.hold(model, { deaths: 2, isTroubled: false })
  expect(launcher.holds(model)).toBe(true)
  // It is another's for now: that is no death.
  lost.length = 0
  await new Leases(launched.db, randomUUID()).acquire(model)
  expect(await comesTrue(async () => lost.length > 0)).toBe(true)
  launcher.hold(model, { deaths: 2, isTroubled: false })
  expect(launcher.holds(model)).toBe(true)
  launcher.hold('another', { deaths: 0, isTroubled: false })
  expect(launcher.holds('another')).toBe(true)
})

test('troubled models are kept from others, more than two share their processes, and those end with them', async () => {
  await using launched = await openLauncher(0)
  const { db, launcher, models } = launched
  const managers = async () => Object.keys(await launcher.metrics()).length
  const others = new Leases(db, randomUUID())
  const [first, second, third] = await Promise.all([0, 1, 2].map(() => models.create({ kind: 'sales' })))
  // Who is refused what he is to hold holds nothing, and has nothing to stay for.
  await others.acquire(third?.id ?? '')
  const troubled = { deaths: 0, isTroubled: true }
  launcher.hold(launched.model, { deaths: 0, isTroubled: false })
  for (const model of [first, second]) launcher.hold(model?.id ?? '', troubled)
  const leased =
    'SELECT count(DISTINCT owner)::int AS owners, count(*)::int AS models FROM model_lease WHERE owner <> $1'
  const owners = async () => (await db.query<{ owners: number; models: number }>(leased, [others.owner]))[0]
  expect(await comesTrue(async () => (await owners())?.models === 3)).toBe(true)
  expect(await owners()).toEqual({ owners: 3, models: 3 })
  launcher.hold(third?.id ?? '', troubled)
  // By one that is up.
  expect(launcher.isStarting(third?.id ?? '')).toBe(false)
  expect(await comesTrue(async () => launched.lost.includes(third?.id ?? ''))).toBe(true)
  await db.query('UPDATE model_lease SET expires_at = clock_timestamp() WHERE model = ANY($1)', [
    [first?.id, second?.id],
  ])
  expect(await comesTrue(async () => (await managers()) === 1)).toBe(true)
})
