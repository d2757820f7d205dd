import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { abortOn } from '../../../src/commands/stop.ts'
import { KILL_POINTS, type KillPoint } from '../../../src/platform/kill-points.ts'
import { BUGS, checkBugs } from './bugs.ts'
import { type DatabaseServer, startDatabaseServer } from './database-server.ts'
import { FAULTS } from './faults.ts'
import { INVARIANTS, type Violation } from './history.ts'
import { type Outcome, runSchedule } from './schedule.ts'

const HELP = `npm run faults -- [--seed N] [--minutes M] [--fault NAME …] [--planted [NAME]]

Breaks a platform in all ways that it knows, and holds what clients, readers and subscribers saw of it against what was
promised. Schedules of about a minute each, of the seeds N, N + 1 …, for M minutes; each can be run again by its seed.

  --fault NAME     of these faults alone: ${Object.keys(FAULTS).join('; ')}
  --no-points      without processes that die at kill points
  --planted        plants each known bug in turn, and fails where one is not caught: ${Object.keys(BUGS).join('; ')}
`
const SCHEDULE_MS = 45_000
/** A schedule is begun while there is so much time for it, with starting and healing. */
const LEAST_MS = 45_000
/** So many times longer it may take until each kill point was reached. */
const SLOW = 4
const PLANTED_TRIES = 4

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '2' },
    fault: { type: 'string', multiple: true },
    planted: { type: 'boolean', default: false },
    bug: { type: 'string', multiple: true },
    'no-points': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const signal = abortOn(['SIGINT', 'SIGTERM'])
const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<number> {
  if (values.help) {
    say(HELP)
    return 0
  }
  const seed = values.seed === undefined ? randomInt(1, 2 ** 31) : Number(values.seed)
  for (const fault of values.fault ?? [])
    if (!FAULTS[fault]) throw new Error(`there is no fault "${fault}"; see --help`)
  checkBugs(new URL('../../../', import.meta.url))
  await using server = await startDatabaseServer()
  return values.planted || values.bug ? await runPlanted(server, seed) : await runAll(server, seed)
}

async function runAll(server: DatabaseServer, first: number): Promise<number> {
  const began = performance.now()
  const until = began + Number(values.minutes) * 60_000
  const hasTime = () => {
    const now = performance.now()
    // On a machine that is slow some points are come to late, and not to have been there is a failure.
    if (reached.size < KILL_POINTS.length && !values.fault) return now < began + SLOW * (until - began)
    return now + LEAST_MS < until
  }
  const hits = new Map<KillPoint, number>()
  const faults = new Map<string, number>()
  const reached = new Set<KillPoint>()
  let broken = 0
  let schedules = 0
  for (let seed = first; schedules === 0 || hasTime(); seed++, schedules++) {
    say(`seed ${seed}`)
    const ms = Math.max(20_000, Math.min(SCHEDULE_MS, until - performance.now() - 30_000))
    const outcome = await runSchedule(server, {
      seed,
      ms,
      points: !values['no-points'],
      faults: values.fault,
      log: say,
      signal,
    })
    for (const point of outcome.reached) reached.add(point)
    for (const { point } of outcome.hits) hits.set(point, (hits.get(point) ?? 0) + 1)
    for (const [fault, count] of outcome.faults) faults.set(fault, (faults.get(fault) ?? 0) + count)
    broken += report(outcome)
  }
  say(`\n${schedules} schedules, seeds ${first} to ${first + schedules - 1}`)
  say('kill points, and how often each was hit:')
  for (const point of KILL_POINTS)
    say(`  ${String(hits.get(point) ?? 0).padStart(4)}  ${point}${reached.has(point) ? '' : '  NEVER REACHED'}`)
  say('faults:')
  for (const [fault, count] of faults) say(`  ${String(count).padStart(4)}  ${fault}`)
  const missed = KILL_POINTS.filter(point => !reached.has(point))
  if (missed.length > 0) say(`never reached: ${missed.join(', ')}`)
  say(broken === 0 ? 'no violation' : `${broken} violations`)
  return broken > 0 || (missed.length > 0 && !values.fault && !values['no-points']) ? 1 : 0
}

/** The violations, with what is needed to see them again. */
function report({ violations, history, logs }: Outcome): number {
  if (violations.length > 0) {
    const path = join(tmpdir(), `teatree-faults-seed-${history.seed}.log`)
    writeFileSync(path, [...logs].map(([name, lines]) => `${name}\n${lines.join('\n')}\n`).join('\n'))
    say(`what the processes wrote is in ${path}`)
  }
  for (const { invariant, what, shown } of violations) {
    say(`VIOLATION of ${invariant}, "${INVARIANTS[invariant]}", seed ${history.seed}: ${what}`)
    for (const each of shown) say(`    ${text(each)}`)
  }
  return violations.length
}
const text = (shown: unknown): string =>
  typeof shown === 'string' ? shown : (JSON.stringify(shown) ?? '').slice(0, 1500)

/** Each bug, planted, has to be caught by an invariant that it breaks. */
async function runPlanted(server: DatabaseServer, first: number): Promise<number> {
  let missed = 0
  for (const name of values.bug ?? Object.keys(BUGS)) {
    const { breaks, faults } = BUGS[name] ?? fail(`there is no bug "${name}"; see --help`)
    let caught: { seed: number; violation: Violation } | null = null
    for (let seed = first; seed < first + PLANTED_TRIES && !caught; seed++) {
      const of = { seed, ms: 20_000, bug: name, faults, points: false, log: () => {}, signal }
      const { violations } = await runSchedule(server, of)
      const violation = violations.find(({ invariant }) => breaks.includes(invariant))
      if (violation) caught = { seed, violation }
    }
    if (caught)
      say(`caught: ${name}, seed ${caught.seed}, invariant ${caught.violation.invariant}: ${caught.violation.what}`)
    else say(`NOT CAUGHT: ${name}, seeds ${first} to ${first + PLANTED_TRIES - 1}`)
    if (!caught) missed += 1
  }
  return missed === 0 ? 0 : 1
}

function fail(message: string): never {
  throw new Error(message)
}

const code = await main().catch(error => {
  if (error !== signal.reason) throw error
  return 1
})
process.exit(code)
