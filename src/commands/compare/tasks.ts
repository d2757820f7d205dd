import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Change, SnapshotRef } from '../../engine/engine.ts'
import { ALL } from '../../engine/plan.ts'
import type { Row } from '../../kinds/types.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { dataFile, orderId } from './data.ts'
import { SALES_MODEL } from './functions.ts'
import type { Answer, Done, Task, TaskName } from './messages.ts'
import { kindOf, OpenModel, type TaskContext } from './open-model.ts'
import { askFunction, QUERY_FUNCTIONS, ROUNDS, SALES_QUERIES } from './queries.ts'
import { type ModelId, newestVersion } from './versions.ts'

export const APPENDED = 10
export const UPDATED = 500

/** What each task does in its process; what it took beside is the process's to tell. */
export const TASKS: Readonly<Record<TaskName, (context: TaskContext) => Promise<Done>>> = {
  import: async context => {
    const { task, kinds } = context
    const sales = kindOf(kinds, 'sales')
    await using model = await OpenModel.open(context, 'sales')
    const importOf = (table: string) => {
      const source = { is: 'file', path: dataFile(task.dir, table), format: 'CSV' } as const
      return model.apply({ is: 'import', table, mode: 'APPEND', source })
    }
    // What sales refer to is little, and there before them.
    for (const table of sales.tables.keys()) if (table !== 'sales') await importOf(table)
    const took = await importOf('sales')
    const { ms, bytes } = await model.publish()
    return done({
      'import ms': took.ms,
      'import processor ms': took.processorMs,
      'publish ms': ms,
      'disk bytes': bytes,
    })
  },

  function: async context => {
    const { task, kinds } = context
    const spec = kindOf(kinds, 'goals').functions.get(task.function)
    const newest = await newestVersion(task, 'sales')
    if (!spec || !newest) throw new Error('there is no such function, or nothing that it could read')
    const alias = spec.runsOn ? 'source' : 'salesModel'
    const ref: SnapshotRef = { alias, model: SALES_MODEL, kind: 'sales', ...newest }
    const reads = spec.runsOn || task.arguments.salesModel !== undefined ? [ref] : []
    await using model = await OpenModel.open(context, 'goals')
    const { ms, processorMs, result } = await model.apply({
      is: 'function',
      name: spec.name,
      args: task.arguments,
      reads,
    })
    const published = await model.publish()
    return done(
      {
        'function ms': ms,
        'function processor ms': processorMs,
        'publish ms': published.ms,
        'disk bytes': published.bytes,
      },
      {},
      result,
    )
  },

  queries: async context => {
    const { task, engine, kinds, onStep } = context
    const readers = await engine.openReaders()
    try {
      const figures: Record<string, number> = {}
      const answers: Record<string, Answer[]> = {}
      const refused: string[] = []
      const ask = async (name: string, read: (n: number) => Promise<Answer>) => {
        onStep(name)
        const [took, given]: [Took[], Answer[]] = [[], []]
        try {
          for (let n = 0; n < ROUNDS; n++) {
            const since = takenFrom()
            given.push(await read(n))
            took.push(since())
          }
        } catch (error) {
          if (!(error instanceof TeatreeError && error.code === 'QUERY_TOO_EXPENSIVE')) throw error
          refused.push(name)
          return
        }
        answers[name] = given
        Object.assign(figures, figuresOf(name, took))
      }
      const opened = async (model: ModelId) => {
        const newest = await newestVersion(task, model)
        return newest && readers.open({ kind: kindOf(kinds, model), files: newest.files })
      }
      const sales = await opened('sales')
      if (sales) for (const [name, read] of Object.entries(SALES_QUERIES)) await ask(name, n => read(sales, n))
      const goals = await opened('goals')
      const kind = kindOf(kinds, 'goals')
      for (const name of Object.keys(QUERY_FUNCTIONS)) {
        const query = kind.queries.get(name)
        if (goals && query) await ask(name, n => askFunction(goals, kind, query, n))
      }
      return { ...done(figures, answers), refused }
    } finally {
      await readers.close()
    }
  },

  writes: async context => {
    const { task } = context
    await using model = await OpenModel.open(context, 'sales')
    const changes: Record<string, (n: number) => Change> = {
      [`append of ${APPENDED}`]: n => ({ is: 'append', table: 'sales', rows: newSales(n) }),
      [`update of ${UPDATED}`]: n => ({
        is: 'update',
        table: 'sales',
        where: {
          is: 'and',
          of: [
            { is: 'in', column: 'orderId', values: someOrders(task.orders, n), negated: false },
            { is: 'compare', column: 'line', op: 'eq', value: 1 },
          ],
        },
        set: { amount: `${n + 1}.2500` },
      }),
    }
    const figures: Record<string, number> = {}
    for (const [name, change] of Object.entries(changes)) {
      context.onStep(name)
      const [took, written]: [Took[], number[]] = [[], []]
      for (let n = 0; n < ROUNDS; n++) {
        const before = await bytesWritten()
        const since = takenFrom()
        await model.apply(change(n))
        await model.publish()
        took.push(since())
        written.push((await bytesWritten()) - before)
      }
      Object.assign(figures, figuresOf(name, took))
      figures[`${name} bytes written`] = median(written.slice(1))
    }
    return done(figures)
  },

  tables: async context => {
    const { task, engine, kinds, onStep } = context
    const readers = await engine.openReaders()
    try {
      for (const model of ['sales', 'goals'] as const) {
        const newest = await newestVersion(task, model)
        if (!newest) continue
        const reader = await readers.open({ kind: kindOf(kinds, model), files: newest.files })
        for (const table of kindOf(kinds, model).tables.keys()) {
          onStep(table)
          await reader.exportParquet({ table, where: ALL }, tableFile(task, table))
        }
        await reader.close()
      }
      return done({})
    } finally {
      await readers.close()
    }
  },
}

/** Where the rows of a table are for the engines to be compared by. */
export const tableFile = ({ dir, engine }: Pick<Task, 'dir' | 'engine'>, table: string): string =>
  join(dir, engine, 'tables', `${table}.parquet`)

const done = (
  figures: Record<string, number>,
  answers: Record<string, Answer[]> = {},
  result: Row | null = null,
): Done => ({
  figures,
  answers,
  refused: [],
  result,
})

const newSales = (n: number): Row[] =>
  Array.from({ length: APPENDED }, (_, line) => ({
    orderId: `NEW-${n}`,
    line: line + 1,
    date: '2025-12-31',
    siteId: 'S01',
    productId: `T00${line + 1}`.slice(0, 4),
    customerId: 'C0001',
    salespersonId: null,
    quantity: '1.0000',
    amount: `${line}.5000`,
  }))

/** Orders from all over, each once. */
function someOrders(orders: number, n: number): string[] {
  const count = Math.min(UPDATED, orders)
  const every = orders / count
  return Array.from({ length: count }, (_, index) => orderId(1 + ((Math.floor(index * every) + n) % orders)))
}

/** On the clock, and of the processor. */
interface Took {
  ms: number
  processorMs: number
}

function takenFrom(): () => Took {
  const [started, before] = [performance.now(), process.cpuUsage()]
  return () => {
    const { user, system } = process.cpuUsage(before)
    return { ms: performance.now() - started, processorMs: (user + system) / 1000 }
  }
}

/** Medians of all but the first. */
const figuresOf = (name: string, took: readonly Took[]): Record<string, number> => ({
  [`${name} ms`]: median(took.slice(1).map(({ ms }) => ms)),
  [`${name} processor ms`]: median(took.slice(1).map(({ processorMs }) => processorMs)),
})

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN
}

/** What this process has handed to the system for writing; only Linux tells. */
async function bytesWritten(): Promise<number> {
  const io = await readFile('/proc/self/io', 'utf8').catch(() => '')
  return Number(/^wchar: (\d+)/m.exec(io)?.[1] ?? Number.NaN)
}
