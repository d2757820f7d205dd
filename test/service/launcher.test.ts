import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { LocalLauncher } from '../../src/jobs/launcher.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { comesTrue } from '../support/comes-true.ts'
import { quiet } from '../support/control.ts'
import { openManaged } from '../support/managed.ts'
import { environment, PROGRAM } from '../support/manager-process.ts'

test('a manager that is refused a model, whose lease is a dead one’s yet, has it looked for again', async () => {
  await using managed = await openManaged()
  const { id } = await managed.models.create({ kind: 'sales' })
  const dead = new Leases(managed.db, randomUUID())
  await dead.acquire(id)
  const lost: string[] = []
  const launcher = new LocalLauncher({
    db: managed.db,
    log: quiet,
    program: PROGRAM,
    env: environment({ TEATREE_DATABASE_URL: managed.url, TEATREE_DATA_DIR: managed.dataDir }),
    managers: 1,
    onLost: model => lost.push(model),
  })
  try {
    launcher.hold(id, 0)
    expect(await comesTrue(async () => lost.length > 0)).toBe(true)
    expect(lost).toEqual([id])
    expect(launcher.holds(id)).toBe(false)
  } finally {
    await launcher.close()
  }
})
