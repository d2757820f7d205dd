import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { writeData } from '../src/commands/compare/data.ts'
import { callsFor } from '../src/commands/compare/functions.ts'
import { runTask } from '../src/commands/compare/task-process.ts'
import type { EngineName } from '../src/kinds/context.ts'
import { loadKinds } from '../src/kinds/registry.ts'
import { median, table, versionOf } from './figures.ts'
import type { Figures, Order } from './peers/raw-engines.ts'

/** Unless `--rounds` says otherwise. */
const ROUNDS = 3
const TASKS = ['import', 'function', 'queries', 'writes'] as const
/** The engine, and the library that it is made of. */
const PAIRS: readonly { engine: EngineName; library: Order['library'] }[] = [
  { engine: 'DUCKDB', library: 'DuckDB' },
  { engine: 'ARROW', library: 'Polars' },
]

/**
 * Each engine beside its library called directly for the same work, every task in a process of its own: import of a CSV, `computeGoals`
 * at the finest grain, a filtered page and sums, an append of 10 rows and an update of 500, each published, and the memory of
 * each. Engines check what they are given, keep keys, and leave every version to its readers; the libraries do not. For each
 * number of sales that is given.
 */
export async function run(args: string[]): Promise<void> {
  const { values, positionals } = parseArgs({ args, options: { rounds: { type: 'string' } }, allowPositionals: true })
  const rounds = Number(values.rounds ?? ROUNDS)
  process.stdout.write(
    `DuckDB ${versionOf('@duckdb/node-api')} · Polars for Node ${versionOf('nodejs-polars')} · ${rounds} rounds, medians\n`,
  )
  for (const rows of positionals.length > 0 ? positionals.map(Number) : [1_000_000]) await measure(rows, rounds)
}

async function measure(rows: number, rounds: number): Promise<void> {
  await using stack = new AsyncDisposableStack()
  const signal = new AbortController().signal
  const goals = (await loadKinds()).get('goals')
  const [call] = goals ? callsFor(goals, 'computeGoals', undefined) : []
  if (!call) throw new Error('there is no computeGoals')
  const found = new Map<string, Map<string, number[]>>()
  const note = (who: string, task: string, figures: Figures) => {
    for (const [name, value] of Object.entries(figures)) {
      const key = `${task}: ${name}`
      const of = found.get(key) ?? new Map<string, number[]>()
      of.set(who, [...(of.get(who) ?? []), value])
      found.set(key, of)
    }
  }
  const root = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-engines-')), path => rm(path, { recursive: true }))
  const { sales, orders } = await writeData(root, rows, { signal, onShare: () => {} })
  for (let round = 0; round < rounds; round++) {
    for (const task of TASKS) {
      for (const { engine, library } of PAIRS) {
        const called = { function: call.name, arguments: call.arguments, memoryBytes: null }
        const given = { is: task, engine, dir: root, orders, ...called }
        const { figures } = await runTask(given, { group: null, signal, onStep: () => {} })
        note(engine, task, together(figures))
        note(library, task, await raw({ library, task, dir: root, orders }))
      }
    }
    // The next round begins with nothing but the data.
    for (const name of ['DUCKDB', 'ARROW', 'raw.duckdb', 'raw-arrow'])
      await rm(join(root, name), { recursive: true, force: true })
  }
  const rowsOf = [...found].flatMap(([name, of]) => {
    const cells = PAIRS.flatMap(({ engine, library }) => {
      const [ours, its] = [engine, library].map(who => median(of.get(who) ?? []))
      return [shown(name, ours), shown(name, its), ratio(ours, its)]
    })
    return cells.includes('–') ? [] : [[name, ...cells]]
  })
  process.stdout.write(
    `\n${sales} sales\n\n${table(['', 'DUCKDB', 'DuckDB', '/ library', 'ARROW', 'Polars', '/ library'], rowsOf)}`,
  )
}

/** What a library does in one go is, on an engine, the work and the version that is published. */
function together(figures: Figures): Figures {
  const { 'publish ms': publish = 0, ...rest } = figures
  return Object.fromEntries(
    Object.entries(rest).map(([name, value]) => [name, /^(import|function) ms$/.test(name) ? value + publish : value]),
  )
}

async function raw(order: Order): Promise<Figures> {
  const program = fileURLToPath(new URL('./peers/raw-engines.ts', import.meta.url))
  const child = fork(program, [JSON.stringify(order)], { env: { ...process.env, UV_THREADPOOL_SIZE: '16' } })
  const told: Figures[] = []
  child.on('message', figures => told.push(figures as Figures))
  const [code] = await once(child, 'close')
  if (code !== 0 || !told[0]) throw new Error(`${order.library}, ${order.task}: the process ended with ${code}`)
  return told[0]
}

const shown = (name: string, value: number | undefined): string => {
  if (value === undefined || Number.isNaN(value)) return '–'
  const number = name.endsWith('bytes') ? value / 1e6 : value
  return `${number.toFixed(number < 10 ? 2 : number < 1000 ? 1 : 0)}${name.endsWith('bytes') ? ' MB' : ''}`
}
const ratio = (a = Number.NaN, b = Number.NaN): string => (Number.isFinite(a / b) ? `${(a / b).toFixed(2)}x` : '–')
