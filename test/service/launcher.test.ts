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
