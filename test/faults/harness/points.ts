import { setTimeout as wait } from 'node:timers/promises'
import { KILL_POINTS, type KillPoint } from '../../../src/platform/kill-points.ts'
import { comesTrue } from '../../support/comes-true.ts'
import type { Deployment } from './deployment.ts'
import type { Hit, KillOrders, Order } from './kill-orders.ts'
import { goneOn } from './monitor.ts'
import { chance, pick, type Random, shuffled, upTo } from './operations.ts'
import { signal, signalAll } from './processes.ts'

/** Where the disk may be full, or broken: what fails there is the surroundings' fault. */
const MAY_FAIL: ReadonlySet<KillPoint> = new Set([
  'batch.prepared',
  'duckdb.applied',
  'duckdb.checkpointed',
  'duckdb.linked',
  'arrow.linked',
  'snapshot.made',
  'archive.exported',
  'archive.put',
  'archive.manifest',
])
/** At so many points something is to happen, at least. */
const AT_ONCE = 4
/** and in archives that are made behind the last versions. */
const AT_ARCHIVES = 2
const HIT_MS = 6000
const GO_ON_MS = 15_000
const LEASE_MS = 10_000

/** The kill points in an order of chance, again and again. */
function* turns(random: Random): Generator<KillPoint, never> {
  for (;;) yield* shuffled(KILL_POINTS, random)
}

function orderFor(random: Random, point: KillPoint): Order {
  const turn = random()
  if (turn < 0.15 && MAY_FAIL.has(point)) return `fail ${pick(random, ['ENOSPC', 'EIO', 'ENOMEM'])}`
  if (turn < 0.75) return 'kill'
  if (turn < 0.93) return 'stop'
  return `block ${LEASE_MS + 2000}`
}

/** Has processes die, freeze, stand still and fail at one kill point after another, until it is told to stop. */
export async function goThroughPoints(deployment: Deployment, random: Random, until: AbortSignal): Promise<void> {
  const { orders } = deployment
  // Without it nothing is ever given back to the line.
  await orders.give('snapshot.made', 'fail ENOSPC')
  await comesTrue(async () => until.aborted || orders.isTaken('snapshot.made'), GO_ON_MS)
  const waking = wakeStopped(orders, random, until)
  const next = turns(random)
  let given: KillPoint[] = []
  while (!until.aborted) {
    // One that is seldom come to waits for it, and there is always another beside it.
    do {
      const { value: point } = next.next()
      if (given.includes(point)) continue
      await orders.give(point, orderFor(random, point))
      given.push(point)
    } while (given.length < AT_ONCE)
    const left = () => given.filter(point => !orders.isTaken(point))
    await comesTrue(async () => until.aborted || left().length < given.length, HIT_MS)
    const isHit = left().length < given.length
    given = left()
    // What died is there again, and has come further.
    if (isHit && !until.aborted) await goneOn(deployment, GO_ON_MS)
  }
  for (const point of given) await orders.takeBack(point)
  await waking
  await signalAll(deployment.dir, 'SIGCONT', ({ isStopped }) => isStopped)
}

/**
 * Archives wait while lines are at work, and are seldom come to before the clients have stopped: at some of their points something
 * is to happen then. Answers with what takes back the orders that nobody has come to.
 */
export async function waitAtArchives({ orders }: Deployment, random: Random): Promise<() => Promise<void>> {
  const points = shuffled(
    KILL_POINTS.filter(point => point.startsWith('archive.')),
    random,
  ).slice(0, AT_ARCHIVES)
  // None is told to stop: what heals has all that are stopped go on.
  for (const point of points) await orders.give(point, MAY_FAIL.has(point) && chance(random, 0.3) ? 'fail EIO' : 'kill')
  return async () => {
    for (const point of points) await orders.takeBack(point)
  }
}

/** Those that stopped at a point go on after a while, before or after their lease has ended. */
async function wakeStopped(orders: KillOrders, random: Random, until: AbortSignal): Promise<void> {
  const due = new Map<Hit, number>()
  let seen = 0
  while (!until.aborted) {
    const hits = await orders.hits()
    for (const hit of hits.slice(seen))
      if (hit.order === 'stop')
        due.set(hit, performance.now() + (chance(random, 0.5) ? LEASE_MS + 2500 : upTo(random, 3000)))
    seen = hits.length
    for (const [hit, at] of due)
      if (at < performance.now()) {
        signal(hit.pid, 'SIGCONT')
        due.delete(hit)
      }
    await wait(100, undefined, { signal: until }).catch(() => {})
  }
}
