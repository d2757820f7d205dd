import { setTimeout as wait } from 'node:timers/promises'
import { KILL_POINTS } from '../../../../src/platform/kill-points.ts'
import type { Rule } from '../../../support/tcp-proxy.ts'
import type { ServerNode } from '../node.ts'
import { chance, type Random, shuffled, upTo } from '../operations.ts'
import { signal } from '../processes.ts'
import { type Fault, type FaultContext, nodeOf, PAST_LEASE_MS, seeRed, stoppedAt } from './fault.ts'

/** At so many points, one after the other, somebody is waited for, for so long. */
const POINTS = 3
const POINT_MS = 8000

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

/** Of the next so many COMMITs, the request or its answer is lost; `lost` is told of each. */
function losingCommits(random: Random, count: number, lost: () => void): Rule {
  const answering = new Set<object>()
  let left = count
  return (side, chunk, exchange) => {
    if (side === 'down' && answering.delete(exchange)) return 'cut'
    if (side === 'down' || left === 0 || !chunk.includes('COMMIT')) return 'pass'
    left -= 1
    lost()
    if (chance(random, 0.3)) return 'cut'
    answering.add(exchange)
    return 'pass'
  }
}

async function databaseAway(context: FaultContext, how: 'stop' | 'kill', isLong: boolean): Promise<void> {
  const { random } = context
  const { server } = context.deployment
  await server[how]()
  if (isLong) await seeRed(context, 'PostgreSQL is away')
  await wait(upTo(random, isLong ? 4000 : 300))
  await server.start()
}

/** Whoever came to one of some points, of which some are seldom come to, and stands there; null where nobody did. */
async function frozenSomewhere({ deployment, random }: FaultContext): Promise<number | null> {
  for (const point of shuffled(KILL_POINTS, random).slice(0, POINTS)) {
    const frozen = await stoppedAt(deployment, point, POINT_MS)
    if (frozen !== null) return frozen
  }
  return null
}

/** PostgreSQL, and the way to it. */
export const DATABASE_FAULTS: Readonly<Record<string, Fault>> = {
  'PostgreSQL restarted': context => databaseAway(context, 'stop', false),
  'PostgreSQL killed': context => databaseAway(context, 'kill', false),
  'PostgreSQL away': context => databaseAway(context, 'stop', true),

  'connections to PostgreSQL cut': async ({ deployment, random }) => {
    for (let times = 4; times > 0; times--) {
      for (const node of deployment.nodes) if (chance(random, 0.7)) node.cutDatabase()
      await wait(upTo(random, 800))
    }
  },

  'PostgreSQL restarted, or connections to it cut, while a process is frozen at a kill point': async context => {
    const { deployment, idle, random } = context
    const frozen = await frozenSomewhere(context)
    if (frozen === null) return idle('nobody came to any of the points')
    if (chance(random, 0.5)) await databaseAway(context, 'stop', false)
    else for (const node of deployment.nodes) node.cutDatabase()
    // It has its lease still, or not any more.
    await wait(chance(random, 0.7) ? upTo(random, 2000) : PAST_LEASE_MS)
    signal(frozen, 'SIGCONT')
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
  },

  'COMMITs without an answer': async ({ deployment, idle, random }) => {
    let lost = 0
    const rule = losingCommits(random, 8, () => {
      lost += 1
    })
    await ruled(deployment.nodes, rule, 4000)
    if (lost === 0) idle('nothing was committed')
  },

  'a server cut off from PostgreSQL without a word': async context => {
    await ruled([nodeOf(context)], () => 'swallow', PAST_LEASE_MS + 2000)
  },
}
