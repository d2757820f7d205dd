import type { FrameFunctionContext, FrameTools, LazyDataFrame } from 'teatree'
import { type Plan, plansOf, type RunResult } from '../runs.ts'

/** The plans so far, the newest first. */
export async function readPlans({ pl, rows }: FrameTools, runs: LazyDataFrame): Promise<Plan[]> {
  const ran = (name: string) => pl.col('function').eq(pl.lit(name))
  return plansOf(await rows(runs.filter(ran('computeGoals').or(ran('refreshActuals'))).sort(pl.col('at'))))
}

/** Adds the run to `runs`, in the order that runs.ts says. */
export async function recordRun(context: FrameFunctionContext<unknown>, result: RunResult): Promise<void> {
  const { pl, rows, frame, table } = context
  const [last] = await rows(table('runs').select(pl.col('at').max()))
  const run = {
    intentId: context.intentId,
    at: later(context.now, last?.at ?? null),
    function: context.name,
    salesModel: result.salesModel ?? null,
    salesVersion: result.salesVersion ?? null,
    arguments: JSON.stringify(context.args),
    cells: result.cells,
    total: result.total ?? null,
  }
  await context.append('runs', frame(RUN_COLUMNS, [run]))
}

const RUN_COLUMNS = {
  intentId: 'VARCHAR',
  at: 'TIMESTAMP',
  function: 'VARCHAR',
  salesModel: 'VARCHAR',
  salesVersion: 'INTEGER',
  arguments: 'VARCHAR',
  cells: 'BIGINT',
  total: 'DECIMAL(18,2)',
} as const

/** Now, or a microsecond after the last where that is later. */
function later(now: string, last: unknown): string {
  if (last === null || now > String(last)) return now
  const text = String(last)
  const micros = BigInt(Date.parse(`${text.slice(0, 23)}Z`)) * 1000n + BigInt(text.slice(23, 26)) + 1n
  const millis = new Date(Number(micros / 1000n)).toISOString().slice(0, 23)
  return `${millis}${String(micros % 1000n).padStart(3, '0')}Z`
}
