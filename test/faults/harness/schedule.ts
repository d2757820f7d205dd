import { setTimeout as wait } from 'node:timers/promises'
import { seededRandom } from '../../../src/engine/seeded-random.ts'
import type { KillPoint } from '../../../src/platform/kill-points.ts'
import { check } from './checker/index.ts'
import { type ClientDeps, runClient } from './client.ts'
import type { DatabaseServer } from './database-server.ts'
import { type Deployment, deploy } from './deployment.ts'
import { heal, readArchives, readLedger, readListed, stopAndLook } from './ending.ts'
import type { FaultContext } from './faults/fault.ts'
import { FAULTS } from './faults/index.ts'
import { footprints, overBase } from './footprint.ts'
import type { FaultNote, History, Violation } from './history.ts'
import type { Hit } from './kill-orders.ts'
import { makeModels, modelAlone, modelsOf, submitLast } from './models.ts'
import { goneOn, lookAtFile, monitor, publishedFiles } from './monitor.ts'
import { pick, type Random, shuffled } from './operations.ts'
import { goThroughPoints, waitAtArchives } from './points.ts'
import { read, runReader } from './reader.ts'
import { Recorder } from './recorder.ts'
import { Subscribers } from './subscriber.ts'

export interface ScheduleOptions {
  seed: number
  /** How long faults go on. */
  ms: number
  bug?: string | null
  /** One model instead of four: everything happens to it. */
  isAlone?: boolean
  /** Within so long all heals by itself once the faults are over. */
  healMs?: number
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
  /** The faults that there were, in their order. */
  faults: readonly FaultNote[]
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
const TOLD_MS = 60_000
/** So many there is time for in a schedule, also on a machine that is busy. */
const FAULTS_OF_A_SEED = 3

/**
 * One schedule from a seed: a platform, clients, readers, subscribers, and one fault after another among them; then all is
 * let heal, looked at and held against the model.
 *
 *   deploy ─▶ clients, readers, subscribers, monitor ──────────────────▶ heal ─▶ last intents ─▶ heal ─▶ read all ─▶ stop ─▶ check
 *             faults, one after another ∥ kill points, some at a time ─┘
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
    const stop = () => reject(signal.reason)
    // It may have been told so while the platform came up.
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
  })

async function runOn(deployment: Deployment, options: ScheduleOptions, of: (what: string) => Random): Promise<Outcome> {
  const { seed, isAlone = false, points = true, log } = options
  const recorder = new Recorder()
  recorder.models.push(...(isAlone ? modelAlone : modelsOf)(of('models')))
  await makeModels(deployment, recorder.models)
  const stop = new AbortController()
  const deps = (is: string): ClientDeps => ({
    name: is,
    random: of(is),
    recorder,
    urls: () => deployment.nodes.map(({ url }) => url),
    signal: stop.signal,
  })
  using subscribers = new Subscribers(deployment, recorder, of('subscribers'))
  for (const model of recorder.models) await subscribers.follow(model)
  const running = [
    ...Array.from({ length: CLIENTS }, (_, index) => runClient(deps(`c${index + 1}`))),
    ...Array.from({ length: READERS }, (_, index) => runReader(deps(`r${index + 1}`))),
  ]
  const watching = new AbortController()
  const monitoring = monitor(deployment, recorder, of('monitor'), watching.signal)
  await goneOn(deployment, GO_ON_MS)
  const base = await footprints(deployment)
  await breakThings(deployment, recorder, options, of)
  stop.abort()
  await Promise.all(running)
  const at = recorder.now()
  // Whatever was archived on the way, from here on there is an archive that another comes behind.
  const takeBack = points ? await waitAtArchives(deployment, of('archives')) : null
  await heal(deployment, options.healMs)
  await takeBack?.()
  await submitLast({ ...deps('c0'), signal: new AbortController().signal })
  const { stuck, last } = await heal(deployment, options.healMs)
  log(`${clock(recorder)}  healed, in ${Math.round((recorder.now() - at) / 1000)} s; last of all, that ${last}`)
  for (const model of recorder.models) await read(deps('end'), model, { newest: true })
  const end = await readLedger(deployment)
  const listed = await readListed(deployment, recorder.models)
  await subscribers.toldAll(end.log, TOLD_MS)
  watching.abort()
  await monitoring
  for (const path of await publishedFiles(deployment)) await lookAtFile(recorder, path)
  const archives = stuck.length === 0 ? await readArchives(deployment, recorder.models, recorder) : []
  const left = [...(await overBase(deployment, base)), ...(await stopAndLook(deployment))]
  log(`${clock(recorder)}  all read, and stopped`)
  const history: History = { seed, ...recorder, end: { at, ...end, archives, listed, stuck, left } }
  return {
    violations: check(history),
    history,
    hits: await deployment.orders.hits(),
    reached: await deployment.orders.reached(),
    faults: recorder.faults,
    logs: new Map(deployment.nodes.map(node => [node.name, node.log])),
  }
}

const clock = (recorder: Recorder): string => `${(recorder.now() / 1000).toFixed(1).padStart(8)} s`

async function breakThings(
  deployment: Deployment,
  recorder: Recorder,
  { seed, ms, points = true, faults: chosen, log }: ScheduleOptions,
  of: (what: string) => Random,
): Promise<void> {
  const random = of('faults')
  const names = chosen ?? Object.keys(FAULTS)
  const ofSeed = faultsOf(names, seed)
  const next = turns(names, ofSeed, random)
  const over = new AbortController()
  const dying = points ? goThroughPoints(deployment, of('points'), over.signal) : Promise.resolve()
  const models = recorder.models.map(({ id }) => id)
  const until = performance.now() + ms
  for (let done = 0; done < ofSeed.length || performance.now() < until; done++) {
    const name = next.next().value
    log(`${clock(recorder)}  ${name}`)
    const note = await play(name, { deployment, random, models }, recorder)
    if (note.idle !== null) log(`${clock(recorder)}      without effect: ${note.idle}`)
    recorder.faults.push(note)
    await goneOn(deployment, GO_ON_MS)
    await wait(1000 * random())
  }
  over.abort()
  await dying
}

async function play(
  fault: string,
  context: Omit<FaultContext, 'broken' | 'idle'>,
  recorder: Recorder,
): Promise<FaultNote> {
  const at = recorder.now()
  const broken: { invariant: number; what: string }[] = []
  let idle: string | null = null
  await FAULTS[fault]?.({
    ...context,
    broken: (invariant, what) => broken.push({ invariant, what }),
    idle: why => {
      idle = why
    },
  })
  return { fault, at, until: recorder.now(), broken, idle }
}

/** A few that are the turn of the seed: some seeds one after the other have them all. */
function faultsOf(names: readonly string[], seed: number): string[] {
  const count = Math.min(FAULTS_OF_A_SEED, names.length)
  const at = (seed * count) % names.length
  return [...names, ...names].slice(at, at + count)
}

/** Those first, in an order of chance; then all, again and again. */
function* turns(names: readonly string[], first: readonly string[], random: Random): Generator<string, never> {
  yield* shuffled(first, random)
  for (;;) yield* shuffled(names, random)
}
