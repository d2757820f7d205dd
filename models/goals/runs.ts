import type { FunctionContext, QueryContext, Row, Value } from 'teatree'
import { type Grain, sameGrain } from './dimensions.ts'
import type { Interval, Period } from './intervals.ts'

/** What a run of computeGoals laid down, and where the actuals beside its goals are from. */
export interface Plan {
  readonly goalPeriod: Period
  readonly interval: Interval
  readonly grain: Grain
  readonly salesModel: string
  readonly salesVersion: number
  /** When the run was; no two runs share an instant. */
  readonly at: string
}

/** The plans so far, the newest first. A refresh of the actuals moves the sales version of the plan before it. */
export async function readPlans(sql: QueryContext['sql'], runs = 'runs'): Promise<Plan[]> {
  const rows = await sql.all(`
    SELECT "at", "function", salesModel, salesVersion, arguments FROM ${runs}
    WHERE "function" IN ('computeGoals', 'refreshActuals') ORDER BY "at"`)
  return plansOf(rows)
}

/** The plans that the runs of computeGoals and refreshActuals laid down, given in the order of their `at`. */
export function plansOf(rows: readonly Row[]): Plan[] {
  const plans: Plan[] = []
  for (const row of rows) {
    const { at, salesModel, salesVersion } = row as unknown as Plan
    const [last] = plans
    if (row.function === 'computeGoals') {
      plans.unshift({ ...JSON.parse(String(row.arguments)), at, salesModel, salesVersion })
    } else if (last) {
      plans[0] = { ...last, salesVersion }
    }
  }
  return plans
}

/** The plan in effect on a day: the newest whose goal period holds it. */
export const planAt = (plans: readonly Plan[], day: string): Plan | undefined =>
  plans.find(({ goalPeriod }) => goalPeriod.from <= day && day < goalPeriod.to)

/** The plans in effect in the course of a period, in the order of time; undefined for a time without one. */
export function plansDuring(plans: readonly Plan[], { from, to }: Period): (Plan | undefined)[] {
  const turns = plans.flatMap(({ goalPeriod }) => [goalPeriod.from, goalPeriod.to])
  const within = turns.filter(day => from < day && day < to).sort()
  return [from, ...within].map(day => planAt(plans, day))
}

/** Whether the cells of both lie on the same days and are divided by the same dimensions. */
export const sameCells = (a: Pick<Plan, 'interval' | 'grain'>, b: Pick<Plan, 'interval' | 'grain'>): boolean =>
  a.interval === b.interval && sameGrain(a.grain, b.grain)

/** What a run did, besides who asked for what. */
export interface RunResult {
  salesModel?: string
  salesVersion?: number
  cells: Value
  total?: Value
}

/**
 * Adds the run to `runs`. The order of the runs is the order of their `at`: where the clock stood still or went back
 * between two intents, `at` is a microsecond after the last instead.
 */
export async function recordRun({ sql, ...context }: FunctionContext<unknown>, result: RunResult): Promise<void> {
  await sql.run(
    `INSERT INTO runs (intentId, "at", "function", salesModel, salesVersion, arguments, cells, total)
     SELECT $intentId, greatest($now::TIMESTAMP, (SELECT max("at") + INTERVAL 1 MICROSECOND FROM runs)), $function,
       $salesModel, $salesVersion::INTEGER, $arguments, $cells::BIGINT, $total::DECIMAL(18,2)`,
    {
      intentId: context.intentId,
      now: context.now,
      function: context.name,
      salesModel: result.salesModel ?? null,
      salesVersion: result.salesVersion ?? null,
      arguments: JSON.stringify(context.args),
      cells: result.cells,
      total: result.total ?? null,
    },
  )
}
