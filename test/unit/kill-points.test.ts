import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { KillOrders } from '../faults/harness/kill-orders.ts'
import { runNode } from '../support/node-process.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-kill-points-'))
})
afterAll(() => rm(dir, { recursive: true }))

/** A process that comes to a point twice, and says each time that it went on, or why not. */
const twice = (env: Record<string, string>) =>
  runNode(
    `import { reach } from './src/platform/kill-points.ts'
     for (const time of ['once', 'twice'])
       try { reach('batch.taken'); console.log(time) } catch ({ code }) { console.log(code) }`,
    env,
  )

test('without a folder a point does nothing', async () => {
  expect(await twice({}).ended).toMatchObject({ code: 0, stdout: ['once', 'twice'] })
})

test('an order is for whoever comes first, once; and that a point was reached is known without one', async () => {
  const orders = await KillOrders.open(dir)
  const env = { TEATREE_TEST_KILL_POINTS: dir }
  expect(await twice(env).ended).toMatchObject({ code: 0, stdout: ['once', 'twice'] })
  expect([...(await orders.reached())]).toEqual(['batch.taken'])
  expect(await orders.hits()).toEqual([])

  await orders.give('batch.taken', 'fail ENOSPC')
  const failed = twice(env)
  expect(await failed.ended).toMatchObject({ code: 0, stdout: ['ENOSPC', 'twice'] })
  expect(orders.isTaken('batch.taken')).toBe(true)

  await orders.give('batch.taken', 'kill')
  const killed = twice(env)
  expect(await killed.ended).toMatchObject({ code: null, stdout: [] })
  expect(killed.child.signalCode).toBe('SIGKILL')
  expect(await orders.hits()).toEqual([
    { point: 'batch.taken', order: 'fail ENOSPC', pid: failed.child.pid },
    { point: 'batch.taken', order: 'kill', pid: killed.child.pid },
  ])

  await orders.give('snapshot.made', 'kill')
  expect(await twice(env).ended).toMatchObject({ code: 0 })
  await orders.takeBack('snapshot.made')
  expect(await readdir(dir)).not.toContain('snapshot.made')
})
