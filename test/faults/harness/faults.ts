import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { comesTrue } from '../../support/comes-true.ts'
import type { Rule } from '../../support/tcp-proxy.ts'
import type { Deployment } from './deployment.ts'
import type { ServerNode } from './node.ts'
import { chance, pick, type Random, upTo } from './operations.ts'
import { losePower } from './power.ts'
import { isManager, processesOf, signal } from './processes.ts'

export interface FaultContext {
  deployment: Deployment
  random: Random
  models: readonly string[]
}
type Broken = { invariant: number; what: string }[]
/** Begins, lasts, and ends; answers with what had to hold meanwhile and did not. */
export type Fault = (context: FaultContext) => Promise<Broken>

/** Longer than a lease lasts without being renewed. */
const PAST_LEASE_MS = 11_500
const STOP_MS = 10_000
const PROGRAM = fileURLToPath(new URL('../../../bin/teatree.js', import.meta.url))

const nodeOf = ({ deployment, random }: FaultContext): ServerNode => pick(random, deployment.nodes)
const NOTHING: Broken = []

async function managersOf({ deployment }: FaultContext): Promise<number[]> {
  return (await processesOf(deployment.dir)).filter(isManager).map(({ pid }) => pid)
}

async function frozen(pids: readonly number[], ms: number): Promise<void> {
  for (const pid of pids) signal(pid, 'SIGSTOP')
  await wait(ms)
  for (const pid of pids) signal(pid, 'SIGCONT')
}

/** While something is away health says so, on every server; soon. */
async function isRed({ deployment }: FaultContext, what: string): Promise<Broken> {
  const statuses = async () =>
    Promise.all(
      deployment.nodes.map(async ({ url, pid }) => {
        if (pid === null) return 503
        const response = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5000) }).catch(() => null)
        return response?.status ?? 503
      }),
    )
  const isTold = await comesTrue(async () => (await statuses()).every(status => status === 503), 20_000)
  return isTold ? NOTHING : [{ invariant: 13, what: `health is green while ${what}` }]
}

/** For a while; what is said to the database, or by it, goes by the rule on these servers. */
async function ruled(nodes: readonly ServerNode[], rule: Rule, ms: number): Promise<void> {
  for (const node of nodes) node.rule = rule
  await wait(ms)
  for (const node of nodes) {
    node.rule = () => 'pass'
    // What was swallowed is not said again on its connection.
    node.cutDatabase()
  }
}

/** Of the next so many COMMITs, the request or its answer is lost. */
function losingCommits(random: Random, count: number): Rule {
  const answering = new Set<object>()
  let left = count
  return (side, chunk, exchange) => {
    if (side === 'down' && answering.delete(exchange)) return 'cut'
    if (side === 'down' || left === 0 || !chunk.includes('COMMIT')) return 'pass'
    left -= 1
    if (chance(random, 0.3)) return 'cut'
    answering.add(exchange)
    return 'pass'
  }
}

async function databaseAway(context: FaultContext, how: 'stop' | 'kill', isLong: boolean): Promise<Broken> {
  const { server } = context.deployment
  await server[how]()
  const broken = isLong ? await isRed(context, 'PostgreSQL is away') : NOTHING
  await wait(isLong ? upTo(context.random, 4000) : upTo(context.random, 300))
  await server.start()
  return broken
}

async function withStore(
  context: FaultContext,
  begin: () => Promise<() => Promise<void>>,
  isAway: boolean,
): Promise<Broken> {
  const end = await begin()
  const broken = isAway ? await isRed(context, 'the store is away') : NOTHING
  await wait(3000 + upTo(context.random, 3000))
  await end()
  return broken
}

const killManager: Fault = async context => {
  for (let times = 1 + upTo(context.random, 2); times > 0; times--) {
    const managers = await managersOf(context)
    if (managers.length > 0) signal(pick(context.random, managers), 'SIGKILL')
    await wait(upTo(context.random, 1500))
  }
  return NOTHING
}

export const FAULTS: Readonly<Record<string, Fault>> = {
  'kill -9 of managers': killManager,

  'a manager frozen past its lease': async context => {
    const managers = await managersOf(context)
    if (managers.length > 0) await frozen([pick(context.random, managers)], PAST_LEASE_MS)
    return NOTHING
  },

  'all managers frozen past their leases': async context => {
    await frozen(await managersOf(context), PAST_LEASE_MS)
    return NOTHING
  },

  'kill -9 of a server': async context => {
    const { pid } = nodeOf(context)
    if (pid !== null) signal(pid, 'SIGKILL')
    await wait(2000)
    return NOTHING
  },

  'a server frozen past its leases': async context => {
    const { pid } = nodeOf(context)
    if (pid !== null) await frozen([pid], PAST_LEASE_MS)
    return NOTHING
  },

  'everything frozen past the leases': async context => {
    await frozen(
      (await processesOf(context.deployment.dir)).map(({ pid }) => pid),
      PAST_LEASE_MS,
    )
    return NOTHING
  },

  'loss of power': async context => {
    const { dir, nodes } = context.deployment
    await comesTrue(async () => {
      const all = await processesOf(dir)
      // Servers that come up again meanwhile too: nothing may be at work as files are lost.
      for (const { pid } of all) signal(pid, 'SIGKILL')
      return all.length === 0 && nodes.every(({ pid }) => pid === null)
    })
    const lost = await losePower(context.deployment)
    return lost.map(path => ({ invariant: 8, what: `not on disk when it was published: ${path}` }))
  },

  'a server told to stop': async context => {
    const { code, ms } = await nodeOf(context).restart()
    if (code === 0) return NOTHING
    return [{ invariant: 12, what: `a server that was told to stop ended with ${code} after ${Math.round(ms)} ms` }]
  },

  'a server killed while its managers are frozen, and started beside them': async context => {
    const { pid } = nodeOf(context)
    const old = (await processesOf(context.deployment.dir)).filter(each => isManager(each) && each.parent === pid)
    for (const each of old) signal(each.pid, 'SIGSTOP')
    if (pid !== null) signal(pid, 'SIGKILL')
    await wait(PAST_LEASE_MS)
    for (const each of old) signal(each.pid, 'SIGCONT')
    return NOTHING
  },

  'PostgreSQL restarted': context => databaseAway(context, 'stop', false),
  'PostgreSQL killed': context => databaseAway(context, 'kill', false),
  'PostgreSQL away': context => databaseAway(context, 'stop', true),

  'connections to PostgreSQL cut': async ({ deployment, random }) => {
    for (let times = 4; times > 0; times--) {
      for (const node of deployment.nodes) if (chance(random, 0.7)) node.cutDatabase()
      await wait(upTo(random, 800))
    }
    return NOTHING
  },

  'answers of PostgreSQL late': async ({ deployment, random }) => {
    const most = 50 + upTo(random, 400)
    await ruled(
      deployment.nodes,
      async (side): Promise<'pass'> => {
        if (side === 'down') await wait(upTo(random, most))
        return 'pass'
      },
      5000,
    )
    return NOTHING
  },

  'COMMITs without an answer': async ({ deployment, random }) => {
    await ruled(deployment.nodes, losingCommits(random, 8), 4000)
    return NOTHING
  },

  'a server cut off from PostgreSQL without a word': async context => {
    await ruled([nodeOf(context)], () => 'swallow', PAST_LEASE_MS + 2000)
    return NOTHING
  },

  'the store away': context =>
    withStore(
      context,
      async () => {
        const { store } = context.deployment
        if (store.folder === null) {
          store.rule = () => 'cut'
          return async () => {
            store.rule = () => 'pass'
          }
        }
        const { folder } = store
        await rename(folder, `${folder}-away`)
        await writeFile(folder, '')
        return async () => {
          await rename(`${folder}-away`, folder).catch(async () => {
            await promisify(execFile)('rm', ['-f', folder])
            await rename(`${folder}-away`, folder)
          })
        }
      },
      true,
    ),

  'the store slow, and failing': context =>
    withStore(
      context,
      async () => {
        const { store, orders } = context.deployment
        if (!store.isS3) {
          for (const point of ['archive.exported', 'archive.put', 'archive.manifest'] as const)
            await orders.give(point, 'fail EIO')
          return async () => {
            for (const point of ['archive.exported', 'archive.put', 'archive.manifest'] as const)
              await orders.takeBack(point)
          }
        }
        store.status = pick(context.random, [500, 503])
        store.rule = async () => {
          await wait(upTo(context.random, 1500))
          return chance(context.random, 0.1) ? 'cut' : 'pass'
        }
        return async () => {
          store.status = null
          store.rule = () => 'pass'
        }
      },
      false,
    ),

  'the disk full': async ({ deployment, random }) => {
    const makeRoom = await deployment.fillDisk?.()
    await wait(2000 + upTo(random, 4000))
    await makeRoom?.()
    return NOTHING
  },

  'a manager without memory': async context => {
    const managers = await managersOf(context)
    if (managers.length === 0) return NOTHING
    const pid = pick(context.random, managers)
    const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '')
    const kibibytes = Number(/^VmSize:\s+(\d+)/m.exec(status)?.[1] ?? 0)
    if (kibibytes === 0) return NOTHING
    const limit = async (bytes: number | 'unlimited') =>
      promisify(execFile)('prlimit', ['--pid', `${pid}`, `--as=${bytes}:unlimited`]).catch(() => {})
    await limit(kibibytes * 1024 + upTo(context.random, 8 << 20))
    await wait(4000)
    await limit('unlimited')
    return NOTHING
  },

  'another manager for a model': async context => {
    const { deployment, models, random } = context
    const [node] = deployment.nodes
    const child = spawn(process.execPath, [PROGRAM, 'manager', '--model', pick(random, models)], {
      env: { ...deployment.env, TEATREE_DATABASE_URL: `${node?.databaseUrl}` },
      stdio: 'ignore',
    })
    const exit = once(child, 'exit')
    await wait(3000)
    // Others may get the model while it has not yet.
    await killManager(context)
    await wait(3000)
    child.kill('SIGTERM')
    const code = await Promise.race([exit.then(([ended]) => ended), wait(STOP_MS * 2, 'late', { ref: false })])
    if (code === 'late') child.kill('SIGKILL')
    return code === 'late' ? [{ invariant: 12, what: 'a manager that was told to stop did not' }] : NOTHING
  },

  'an owner frozen before it publishes, then its successor, and the owner wakes first': async ({ deployment }) => {
    const { orders } = deployment
    const stopped = async (): Promise<number | null> => {
      const before = (await orders.hits()).length
      await orders.give('snapshot.made', 'stop')
      const isHit = await comesTrue(
        async () => (await orders.hits()).slice(before).some(hit => hit.point === 'snapshot.made'),
        25_000,
      )
      await orders.takeBack('snapshot.made')
      return isHit
        ? ((await orders.hits()).slice(before).find(hit => hit.point === 'snapshot.made')?.pid ?? null)
        : null
    }
    const owner = await stopped()
    if (owner === null) return NOTHING
    await wait(PAST_LEASE_MS - 2000)
    const successor = await stopped()
    signal(owner, 'SIGCONT')
    await wait(3000)
    if (successor !== null) signal(successor, 'SIGCONT')
    return NOTHING
  },
}
