import { setTimeout as wait } from 'node:timers/promises'
import { seededRandom } from '../../../src/engine/seeded-random.ts'
import type { KillPoint } from '../../../src/platform/kill-points.ts'
import { comesTrue } from '../../support/comes-true.ts'
import type { LogFollower } from '../../support/log-followers.ts'
import { check } from './checker/index.ts'
import { type ClientDeps, runClient, Submission } from './client.ts'
import type { DatabaseServer } from './database-server.ts'
import { type Deployment, deploy } from './deployment.ts'
import { heal, readArchives, readLedger, stopAndLook } from './ending.ts'
import { FAULTS } from './faults.ts'
import type { History, ModelOf, Operation, Violation } from './history.ts'
import type { Hit } from './kill-orders.ts'
import { goneOn, lookAtFile, monitor, publishedFiles } from './monitor.ts'
import { pick, type Random } from './operations.ts'
import { goThroughPoints } from './points.ts'
import { read, runReader } from './reader.ts'
import { Recorder } from './recorder.ts'
import { ask } from './requests.ts'
import { subscribe } from './subscriber.ts'

export interface ScheduleOptions {
  seed: number
  /** How long faults go on. */
  ms: number
  bug?: string | null
  /** The faults of which chance chooses; all where left out. */
  faults?: readonly string[] | undefined
  /** Whether processes die at kill points meanwhile, too. */
  points?: boolean
  log: (line: string) => void
  signal: AbortSignal
}

export interface Outcome {
  violations: Violation[]
  history: History
  hits: Hit[]
  reached: ReadonlySet<KillPoint>
  /** How often each fault was there. */
  faults: ReadonlyMap<string, number>
  /** What the processes of the platform wrote, by server. */
  logs: ReadonlyMap<string, readonly string[]>
}

/** How wrong the clocks of the servers are, and of their managers. */
const CLOCK_HOURS: readonly (readonly number[])[] = [
  [0, 0],
  [0, 1],
  [-1, 0],
  [1, -1],
]
const CLIENTS = 5
const READERS = 3
/** Between two faults something has to go on, at most so long. */
const GO_ON_MS = 30_000

/**
 * One schedule from a seed: a platform, clients, readers, subscribers, and one fault after another among them; then all is
 * let heal, looked at and held against the model.
 *
 *   deploy ─▶ clients, readers, subscribers, monitor ────────────────────▶ last intents ─▶ heal ─▶ read all ─▶ stop ─▶ check
 *             faults, one after another ∥ kill points, one after another ─┘
 */
export async function runSchedule(server: DatabaseServer, options: ScheduleOptions): Promise<Outcome> {
  const { seed, bug = null, signal } = options
  const of = (what: string): Random => seededRandom(`${seed} ${what}`)
  const name = `faults_${seed}_${Date.now()}`
  const clockHours = pick(of('clocks'), CLOCK_HOURS)
  await using deployment = await deploy(server, { name, clockHours, bug })
  // Where it is told to stop, what has been deployed goes, whatever is under way.
  return await Promise.race([runOn(deployment, options, of), rejected(signal)])
}

const rejected = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true })
  })

async function runOn(deployment: Deployment, options: ScheduleOptions, of: (what: string) => Random): Promise<Outcome> {
  const { seed, log } = options
  const recorder = new Recorder()
  await makeModels(deployment, recorder, of('models'))
  const stop = new AbortController()
  const deps = (is: string): ClientDeps => ({
    name: is,
    random: of(is),
    recorder,
    urls: () => deployment.nodes.map(({ url }) => url),
    signal: stop.signal,
  })
  await using followers = new AsyncDisposableStack()
  const followed: { model: string; follower: LogFollower }[] = []
  for (const model of recorder.models)
    followed.push(...(await follow(deployment, recorder, model, followers, of(`follow ${model.id}`))))
  const running = [
    ...Array.from({ length: CLIENTS }, (_, index) => runClient(deps(`c${index + 1}`))),
    ...Array.from({ length: READERS }, (_, index) => runReader(deps(`r${index + 1}`))),
  ]
  const watching = new AbortController()
  const monitoring = monitor(deployment, recorder, of('monitor'), watching.signal)
  const faults = await breakThings(deployment, recorder, options, of)
  stop.abort()
  await Promise.all(running)
  const at = recorder.now()
  await submitLast({ ...deps('c0'), signal: new AbortController().signal })
  const stuck = await heal(deployment)
  log(
    `seed ${seed}: ${recorder.calls.length} calls, ${recorder.reads.length} reads, healed in ${Math.round(recorder.now() - at)} ms`,
  )
  for (const model of recorder.models) await read(deps('end'), model, { newest: true })
  log(`${Math.round(recorder.now())} ms  read`)
  const end = await readLedger(deployment)
  await toldAll(followed, end.log)
  log(`${Math.round(recorder.now())} ms  told`)
  watching.abort()
  await monitoring
  for (const path of await publishedFiles(deployment)) await lookAtFile(recorder, path)
  const archives = stuck.length === 0 ? await readArchives(deployment, recorder.models, recorder) : []
  log(`${Math.round(recorder.now())} ms  archives read`)
  const left = await stopAndLook(deployment)
  log(`${Math.round(recorder.now())} ms  stopped`)
  const history: History = { seed, ...recorder, end: { at, ...end, archives, stuck, left } }
  return {
    violations: check(history),
    history,
    hits: await deployment.orders.hits(),
    reached: await deployment.orders.reached(),
    faults,
    logs: new Map(deployment.nodes.map(node => [node.name, node.log])),
  }
}

/** Sales on both engines, and goals on both of the other's. */
async function makeModels({ nodes }: Deployment, recorder: Recorder, random: Random): Promise<void> {
  const models: ModelOf[] = [
    { id: 'north', kind: 'sales', engine: 'DUCKDB', reads: null },
    { id: 'south', kind: 'sales', engine: 'ARROW', reads: null },
    { id: 'north-goals', kind: 'goals', engine: pick(random, ['DUCKDB', 'ARROW']), reads: 'north' },
    { id: 'south-goals', kind: 'goals', engine: pick(random, ['DUCKDB', 'ARROW']), reads: 'south' },
  ]
  for (const { reads, ...model } of models) {
    const input = { ...model, ...(reads ? { reads: [reads] } : {}) }
    const { message, code } = await ask(
      `${nodes[0]?.url}`,
      'mutation ($input: CreateModelInput!) { createModel(input: $input) { id } }',
      { input },
      30_000,
    )
    if (code !== null) throw new Error(`a model could not be made: ${message}`)
  }
  recorder.models.push(...models)
}

/** One subscriber over each transport, from the start of the log. */
async function follow(
  deployment: Deployment,
  recorder: Recorder,
  model: ModelOf,
  stack: AsyncDisposableStack,
  random: Random,
) {
  const text = '{ model(id: "ID") { snapshot { cursor } } }'.replace('ID', model.id)
  const { data } = await ask(`${deployment.nodes[0]?.url}`, text, {}, 30_000)
  const after: string = data.model.snapshot.cursor
  return (['websocket', 'events'] as const).map(transport => {
    const follower = subscribe({
      name: `${transport} of ${model.id}`,
      transport,
      pageSize: pick(random, [5, 50, 500]),
      model,
      after,
      recorder,
      url: () => pick(random, deployment.nodes).url,
    })
    stack.defer(() => follower[Symbol.dispose]())
    return { model: model.id, follower }
  })
}
/** The whole log, or what came in time of it. */
async function toldAll(followed: readonly { model: string; follower: LogFollower }[], log: History['end']['log']) {
  await Promise.all(
    followed.map(({ model, follower }) => {
      const length = log.filter(row => row.model === model).length
      return comesTrue(async () => follower.seen.length >= length, 30_000)
    }),
  )
}

async function breakThings(
  deployment: Deployment,
  recorder: Recorder,
  { ms, points = true, faults: chosen, log }: ScheduleOptions,
  of: (what: string) => Random,
): Promise<Map<string, number>> {
  const random = of('faults')
  const names = chosen ?? Object.keys(FAULTS)
  const counts = new Map<string, number>()
  const over = new AbortController()
  const dying = points ? goThroughPoints(deployment, of('points'), over.signal) : Promise.resolve()
  const models = recorder.models.map(({ id }) => id)
  let left = [...names]
  await goneOn(deployment, GO_ON_MS)
  const until = performance.now() + ms
  while (performance.now() < until) {
    const name = pick(random, left)
    left = left.length > 1 ? left.filter(other => other !== name) : [...names]
    const at = recorder.now()
    log(`${String(Math.round(at)).padStart(8)} ms  ${name}`)
    const broken = (await FAULTS[name]?.({ deployment, random, models })) ?? []
    recorder.faults.push({ fault: name, at, until: recorder.now(), broken })
    counts.set(name, (counts.get(name) ?? 0) + 1)
    await goneOn(deployment, GO_ON_MS)
    await wait(1000 * random())
  }
  over.abort()
  await dying
  return counts
}

/** An intent for each model behind all others: its writer sweeps what dead managers have left. */
async function submitLast(deps: ClientDeps): Promise<void> {
  for (const [index, model] of deps.recorder.models.entries()) {
    const tag = `${deps.name}-${String(index).padStart(5, '0')}`
    await new Submission(deps, model, tag, lastOperation(model, tag)).untilAnswered()
  }
}

const lastOperation = (model: ModelOf, tag: string): Operation =>
  model.kind === 'sales'
    ? { is: 'upsert', table: 'sites', rows: [{ siteId: 'LAST', name: 'last', region: tag, country: null }] }
    : {
        is: 'computeGoals',
        input: {
          salesModel: `${model.reads}`,
          grain: ['SITE'],
          interval: 'YEAR',
          method: 'BASIS_AVERAGE',
          total: null,
        },
      }
