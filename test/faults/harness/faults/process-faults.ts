import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { promisify } from 'node:util'
import { comesTrue } from '../../../support/comes-true.ts'
import { pick, upTo } from '../operations.ts'
import { losePower } from '../power.ts'
import { processesOf, signal } from '../processes.ts'
import { type Fault, type FaultContext, killManagers, managersOf, nodeOf, PAST_LEASE_MS, STOP_MS } from './fault.ts'

async function frozen({ idle }: FaultContext, pids: readonly number[]): Promise<void> {
  const stopped = pids.filter(pid => signal(pid, 'SIGSTOP'))
  if (stopped.length === 0) return idle('there was no process to freeze')
  await wait(PAST_LEASE_MS)
  for (const pid of stopped) signal(pid, 'SIGCONT')
}

/** Processes that die, stand still, or have no memory. */
export const PROCESS_FAULTS: Readonly<Record<string, Fault>> = {
  'kill -9 of managers': killManagers,

  'a manager frozen past its lease': async context => {
    const managers = await managersOf(context)
    await frozen(context, managers.length > 0 ? [pick(context.random, managers)] : [])
  },

  'all managers frozen past their leases': async context => {
    await frozen(context, await managersOf(context))
  },

  'kill -9 of a server': async context => {
    const { pid } = nodeOf(context)
    if (pid === null || !signal(pid, 'SIGKILL')) context.idle('the server was down')
    await wait(2000)
  },

  'a server frozen past its leases': async context => {
    const { pid } = nodeOf(context)
    await frozen(context, pid === null ? [] : [pid])
  },

  'everything frozen past the leases': async context => {
    const all = await processesOf(context.deployment.dir)
    await frozen(
      context,
      all.map(({ pid }) => pid),
    )
  },

  'loss of power': async ({ broken, deployment }) => {
    for (const path of await losePower(deployment)) broken(8, `not on disk when it was published: ${path}`)
  },

  'a server told to stop': async context => {
    const { pid, code, ms } = await nodeOf(context).stopOnce(STOP_MS)
    if (pid === null) return context.idle('the server was down')
    // It may have come to a kill point meanwhile.
    const isHit = (await context.deployment.orders.hits()).some(hit => hit.pid === pid)
    if (code !== 0 && !isHit)
      context.broken(12, `a server that was told to stop ended with ${code} after ${Math.round(ms)} ms`)
  },

  'a manager without memory': async context => {
    const managers = await managersOf(context)
    if (managers.length === 0) return context.idle('there was no manager')
    const pid = pick(context.random, managers)
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kibibytes = Number(/^VmSize:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    const limit = (bytes: number | 'unlimited') =>
      promisify(execFile)('prlimit', ['--pid', `${pid}`, `--as=${bytes}:unlimited`]).then(
        () => true,
        () => false,
      )
    const isLimited = kibibytes > 0 && (await limit(kibibytes * 1024 + upTo(context.random, 8 << 20)))
    if (!isLimited) return context.idle('the memory of the manager could not be limited')
    await wait(4000)
    await limit('unlimited')
  },

  'managers that die of the same intent, until it is set aside': async ({ deployment: { db, orders }, idle }) => {
    const parked = async () => {
      const [row] = await db.query<{ count: bigint }>(`SELECT count(*) FROM intent WHERE status = 'PARKED'`)
      return row?.count ?? 0n
    }
    const points = ['duckdb.applied', 'arrow.applied'] as const
    const before = await parked()
    const isParked = await comesTrue(async () => {
      for (const point of points) if (orders.isTaken(point)) await orders.give(point, 'kill')
      return (await parked()) > before
    }, 30_000)
    for (const point of points) await orders.takeBack(point)
    if (!isParked) idle('no intent was set aside in time')
  },
}
