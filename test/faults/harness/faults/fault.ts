import { setTimeout as wait } from 'node:timers/promises'
import type { KillPoint } from '../../../../src/platform/kill-points.ts'
import { comesTrue } from '../../../support/comes-true.ts'
import type { Deployment } from '../deployment.ts'
import type { ServerNode } from '../node.ts'
import { pick, type Random, upTo } from '../operations.ts'
import { isManager, processesOf, signal } from '../processes.ts'

export interface FaultContext {
  deployment: Deployment
  random: Random
  models: readonly string[]
  /** Something had to hold while it lasts, and does not. */
  broken(invariant: number, what: string): void
  /** It could not take effect, for this reason: nothing was seen of how it is borne. */
  idle(why: string): void
}
/** Begins, lasts, and ends. */
export type Fault = (context: FaultContext) => Promise<void>

/** Longer than a lease lasts without being renewed. */
export const PAST_LEASE_MS = 11_500
/** Whoever was told to stop has ended by then, also where it was frozen meanwhile, and on a machine that is busy. */
export const STOP_MS = 60_000
const RED_MS = 30_000

export const nodeOf = ({ deployment, random }: FaultContext): ServerNode => pick(random, deployment.nodes)

export async function managersOf({ deployment }: FaultContext): Promise<number[]> {
  return (await processesOf(deployment.dir)).filter(isManager).map(({ pid }) => pid)
}

/** Who comes to the point next stops there: its process; null where nobody has come in time. */
export async function stoppedAt({ orders }: Deployment, point: KillPoint, ms: number): Promise<number | null> {
  const { length } = await orders.hits()
  const stopped = async () =>
    (await orders.hits()).slice(length).find(hit => hit.point === point && hit.order === 'stop held')
  await orders.give(point, 'stop held')
  await comesTrue(async () => (await stopped()) !== undefined, ms)
  await orders.takeBack(point)
  return (await stopped())?.pid ?? null
}

export const killManagers: Fault = async context => {
  let killed = 0
  for (let times = 1 + upTo(context.random, 2); times > 0; times--) {
    const managers = await managersOf(context)
    if (managers.length > 0 && signal(pick(context.random, managers), 'SIGKILL')) killed += 1
    await wait(upTo(context.random, 1500))
  }
  if (killed === 0) context.idle('there was no manager to kill')
}

/** While something is away health says so, on every server; soon. */
export async function seeRed({ broken, deployment }: FaultContext, what: string): Promise<void> {
  const statuses = async () =>
    Promise.all(
      deployment.nodes.map(async ({ url, pid }) => {
        if (pid === null) return 503
        const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).catch(() => null)
        return response?.status ?? 503
      }),
    )
  const isRed = await comesTrue(async () => (await statuses()).every(status => status === 503), RED_MS)
  if (!isRed) broken(13, `health is green while ${what}`)
}
