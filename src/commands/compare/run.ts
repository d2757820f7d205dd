import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Differences, differencesOf } from '../../engine/duckdb/exports/differences.ts'
import type { EngineName } from '../../kinds/context.ts'
import type { Kinds } from '../../kinds/kind.ts'
import { writeData } from './data.ts'
import { answersDiffer, rowsOf } from './equality.ts'
import { makeMemoryGroup } from './memory-group.ts'
import type { Answers, Done, Figures, Task, TaskName } from './messages.ts'
import type { Comparison } from './options.ts'
import { OutOfMemory, runTask } from './task-process.ts'
import { tableFile } from './tasks.ts'

/** In this order they are printed, and each is measured after the one before it. */
export const ENGINES: readonly EngineName[] = ['DUCKDB', 'ARROW']

/** One task on both engines: figures, or where it was ended for want of memory. */
export interface Measured {
  /** As people call it: the task, or the function. */
  name: string
  engines: Readonly<Record<string, Figures | { outOfMemory: string }>>
  /** What an engine has refused of it, for want of memory, with its name. */
  refused: readonly string[]
}

/** What came out of a comparison over so many sales. */
export interface Outcome {
  sales: number
  measured: readonly Measured[]
  /** Rows of each table, and of the answers, that were held against each other. */
  compared: Readonly<Record<string, number>>
  /** What is not the same on both; empty where all is. Null where one engine did not come to the end. */
  differences: readonly string[] | null
}

interface Step {
  is: TaskName
  name: string
  call: Pick<Task, 'function' | 'arguments'>
  /** What has to be there for it. */
  needs: readonly TaskName[]
}

/**
 * Does every task on both engines, each in a process of its own, and compares what came out of it.
 * @param dir an empty folder, which is left with files in it
 * @throws UsageError where an engine refuses a task; the signal's reason
 */
export async function compareOver(
  rows: number,
  {
    comparison,
    kinds,
    dir,
    signal,
    onStep,
  }: {
    comparison: Comparison
    kinds: Kinds
    dir: string
    signal: AbortSignal
    onStep(step: string, share: number | null): void
  },
): Promise<Outcome> {
  const data = await writeData(dir, rows, { signal, onShare: share => onStep('make sales', share) })
  const steps = stepsOf(comparison)
  const measured: Measured[] = []
  const ended = new Set<string>()
  const said: Record<string, Done[]> = {}
  for (const { is, name, call, needs } of steps) {
    const engines: Record<string, Measured['engines'][string]> = {}
    const refused: string[] = []
    for (const engine of ENGINES) {
      if (needs.some(each => ended.has(`${engine} ${each}`))) continue
      const at = (step: string) => onStep(`${engine}: ${name}${step === '' || step === name ? '' : `, ${step}`}`, null)
      at('')
      try {
        const { memoryBytes } = comparison
        const task: Task = { is, engine, dir, ...call, orders: data.orders, memoryBytes }
        const done = await inGroup(memoryBytes, group => runTask(task, { group, signal, onStep: at }))
        engines[engine] = done.figures
        refused.push(...done.refused.map(query => `${engine}: ${query}`))
        said[engine] = [...(said[engine] ?? []), done]
      } catch (error) {
        if (!(error instanceof OutOfMemory)) throw error
        engines[engine] = { outOfMemory: error.message }
        ended.add(`${engine} ${is}`)
      }
    }
    measured.push({ name, engines, refused })
  }
  if (ended.size > 0) return { sales: data.sales, measured, compared: {}, differences: null }
  onStep('compare cells', null)
  const { compared, differences } = await differencesIn({ kinds, dir, signal, said })
  return { sales: data.sales, measured: measured.filter(({ name }) => name !== 'tables'), compared, differences }
}

function stepsOf({ calls }: Comparison): Step[] {
  const [first] = calls
  if (!first) throw new Error('there is nothing to be compared')
  const none = { function: first.name, arguments: first.arguments }
  return [
    { is: 'import', name: 'import', call: none, needs: [] },
    ...calls.map(
      ({ name, arguments: args }): Step => ({
        is: 'function',
        name,
        call: { function: name, arguments: args },
        needs: ['import', 'function'],
      }),
    ),
    { is: 'queries', name: 'queries', call: none, needs: ['import', 'function'] },
    { is: 'writes', name: 'writes', call: none, needs: ['import'] },
    { is: 'tables', name: 'tables', call: none, needs: ['import', 'function', 'queries', 'writes'] },
  ]
}

async function inGroup<T>(
  bytes: number | null,
  run: (group: Awaited<ReturnType<typeof makeMemoryGroup>> | null) => Promise<T>,
): Promise<T> {
  if (bytes === null) return run(null)
  await using group = await makeMemoryGroup(bytes)
  return await run(group)
}

/** Every row of every table, every row of every answer, and what functions said. */
async function differencesIn(of: {
  kinds: Kinds
  dir: string
  signal: AbortSignal
  said: Readonly<Record<string, readonly Done[]>>
}): Promise<{ compared: Record<string, number>; differences: string[] }> {
  const { kinds, dir, signal, said } = of
  const compared: Record<string, number> = {}
  const differences: string[] = []
  const spill = join(dir, 'spill')
  await mkdir(spill)
  for (const id of ['goals', 'sales'])
    for (const table of kinds.get(id)?.tables.values() ?? []) {
      const files = ENGINES.map(engine => tableFile({ dir, engine }, table.name)) as [string, string]
      const found = await differencesOf(table, files, { spill, signal })
      compared[table.name] = found.rows[0]
      if (found.different > 0) differences.push(`${table.name}: ${inWords(found)}`)
    }
  const refused = Object.values(said).flatMap(all => all.flatMap(done => done.refused))
  const [first = {}, second = {}] = ENGINES.map(engine => answersOf(said[engine] ?? [], refused))
  compared.answers = rowsOf(first)
  const answers = answersDiffer(first, second)
  return { compared, differences: answers === null ? differences : [...differences, answers] }
}

/** But for what one of the engines has refused. */
function answersOf(all: readonly Done[], refused: readonly string[]): Answers {
  const answers: Record<string, Answers[string]> = Object.assign({}, ...all.map(done => done.answers))
  for (const query of refused) delete answers[query]
  return { ...answers, outcomes: [all.flatMap(({ result }) => (result === null ? [] : [result]))] }
}

const inWords = ({ rows, different, examples }: Differences): string =>
  `${different} rows that ${ENGINES.join(' or ')} alone has, of ${rows.join(' and ')}; ${examples
    .map(({ in: side, row }) => `${ENGINES[side === 'first' ? 0 : 1]} ${JSON.stringify(row)}`)
    .join(', ')}`
