import { randomInt } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { abortOn } from '../../../src/commands/stop.ts'
import { BUGS, checkChanges, type PlantedBug } from './bugs.ts'
import { type DatabaseServer, startDatabaseServer } from './database-server.ts'
import { FAULTS } from './faults/index.ts'
import { INVARIANTS } from './history.ts'
import { type Outcome, runSchedule } from './schedule.ts'
import { Summary } from './summary.ts'

const HELP = `npm run faults -- [--seed N] [--minutes M] [--fault NAME …] [--no-points]
npm run faults -- --planted | --bug NAME … [--seed N]

Breaks a platform in all ways that it knows, and holds what clients, readers and subscribers saw of it against what was
promised. Schedules of the seeds N, N + 1 …, each on an empty platform, one every 90 seconds, for M minutes (2 where left
out). A violation is printed with its seed, by which the schedule can be run again. With the settings of a real S3 server
(TEATREE_TEST_STORE_URL, AWS_*) archives and uploads are there.

  --fault NAME     of these faults alone: ${Object.keys(FAULTS).join('; ')}
  --no-points      without processes that die at kill points
  --planted        plants each known bug, and fails where one is not caught
  --bug NAME       these alone: ${Object.keys(BUGS).join('; ')}
`
/** A schedule takes about so long; of this, what it takes to start, heal, read everything and stop. */
const SCHEDULE_MS = 90_000
const AROUND_MS = 45_000
const LEAST_MS = 15_000
/** So many times as many schedules there are at most until each kill point was come to: not to have been there is a failure. */
const PATIENCE = 4
const PLANTED_MS = 15_000
/** What is broken may not heal: it is not waited for as long. */
const PLANTED_HEAL_MS = 30_000
const PLANTED_TRIES = 3

const { values } = parseArgs({
  options: {
    seed: { type: 'string' },
    minutes: { type: 'string', default: '2' },
    fault: { type: 'string', multiple: true, default: Object.keys(FAULTS) },
    planted: { type: 'boolean', default: false },
    bug: { type: 'string', multiple: true },
    'no-points': { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
})
const signal = abortOn(['SIGINT', 'SIGTERM'])
const say = (line: string) => process.stdout.write(`${line}\n`)

async function main(): Promise<boolean> {
  if (values.help) {
    say(HELP)
    return true
  }
  const bugs = values.bug ?? (values.planted ? Object.keys(BUGS) : [])
  const unknown = [...values.fault.filter(name => !FAULTS[name]), ...bugs.filter(name => !BUGS[name])]
  if (unknown.length > 0) throw new Error(`there is no "${unknown[0]}"; see --help`)
  const seed = Number(values.seed ?? randomInt(1, 2 ** 31))
  checkChanges(new URL('../../../', import.meta.url))
  await using server = await startDatabaseServer()
  return bugs.length > 0 ? await runPlanted(server, bugs, seed) : await runAll(server, seed)
}

/** Whether all that was promised held, and each kill point was come to. */
async function runAll(server: DatabaseServer, first: number): Promise<boolean> {
  const { fault: faults, 'no-points': isWithoutPoints } = values
  const isWhole = faults.length === Object.keys(FAULTS).length && !isWithoutPoints
  const minutesMs = Number(values.minutes) * 60_000
  const count = Math.max(1, Math.floor(minutesMs / SCHEDULE_MS))
  const ms = Math.max(LEAST_MS, minutesMs / count - AROUND_MS)
  const summary = new Summary()
  const isOver = (done: number) =>
    done >= count && (!isWhole || summary.missed.length === 0 || done >= PATIENCE * count)
  for (let done = 0; !isOver(done); done++) {
    const seed = first + done
    say(`seed ${seed}`)
    const outcome = await runSchedule(server, { seed, ms, points: !isWithoutPoints, faults, log: say, signal })
    tell(outcome)
    summary.add(outcome)
  }
  say(`\n${summary.text()}`)
  return summary.isSound && (!isWhole || summary.missed.length === 0)
}

/** The violations, with what is needed to see them again. */
function tell({ violations, history, logs }: Outcome): void {
  if (violations.length === 0) return
  const path = join(tmpdir(), `teatree-faults-seed-${history.seed}.log`)
  writeFileSync(path, [...logs].map(([name, lines]) => `${name}\n${lines.join('\n')}\n`).join('\n'))
  for (const { invariant, what, shown } of violations) {
    say(`VIOLATION of ${invariant}, "${INVARIANTS[invariant]}", seed ${history.seed}: ${what}`)
    for (const each of shown) say(`    ${text(each)}`)
  }
  say(`what the processes wrote is in ${path}`)
}
const text = (shown: unknown): string =>
  typeof shown === 'string' ? shown : (JSON.stringify(shown) ?? '').slice(0, 1500)

/** Whether each bug, planted, was caught by an invariant that it breaks. */
async function runPlanted(server: DatabaseServer, names: readonly string[], first: number): Promise<boolean> {
  let isCaught = true
  for (const [name, bug] of Object.entries(BUGS))
    if (names.includes(name)) isCaught = (await catchBug(server, name, bug, first)) && isCaught
  return isCaught
}

async function catchBug(
  server: DatabaseServer,
  name: string,
  { breaks, faults }: PlantedBug,
  first: number,
): Promise<boolean> {
  for (let seed = first; seed < first + PLANTED_TRIES; seed++) {
    const { violations } = await runSchedule(server, {
      seed,
      bug: name,
      faults,
      ms: PLANTED_MS,
      healMs: PLANTED_HEAL_MS,
      isAlone: true,
      points: false,
      log: () => {},
      signal,
    })
    const violation = violations.find(({ invariant }) => breaks.includes(invariant))
    say(`${violation ? 'caught' : 'not caught'}, seed ${seed}: ${name}`)
    if (!violation) continue
    say(`    by invariant ${violation.invariant}: ${violation.what}`)
    return true
  }
  say(`NOT CAUGHT: ${name}`)
  return false
}

const isGood = await main().catch(error => {
  if (error !== signal.reason) throw error
  return false
})
process.exit(isGood ? 0 : 1)
