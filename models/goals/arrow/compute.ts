import type { FrameFunctionContext, Row } from 'teatree'
import { refuseLarge, units } from '../amounts.ts'
import { type ComputeGoals, reachOf, refuseUnmet } from '../compute.ts'
import { MONTHS, monthsAfter, type Period } from '../intervals.ts'
import { refuseForeignDays } from '../locks.ts'
import { writeActuals } from './actuals.ts'
import { decimal, largest, positive, rounded, sum } from './amounts.ts'
import { combinationsOf, type Forecast, forecast } from './forecast.ts'
import { combinationOf, GOAL_COLUMNS, within } from './frames.ts'
import { readPlans, recordRun } from './runs.ts'
import { soldIn } from './sales.ts'
import { spread } from './spread.ts'

/** Computes the goals of the goal period, step by step, and then the actuals beside them. */
export async function computeGoals(context: FrameFunctionContext<ComputeGoals>): Promise<Row> {
  const { args, pl, rows, step, table } = context
  const { basisPeriod, goalPeriod, interval, grain } = args
  const sales = context.reads.find(({ alias }) => alias === 'salesModel')
  if (!sales) throw new Error('the sales model is not attached')
  const plans = await readPlans(context, table('runs'))
  const reach = reachOf(plans, goalPeriod)
  const locked = await rows(
    table('goals')
      .filter(within(pl, 'period', reach))
      .filter(pl.col('locked')),
  )
  const days = new Set(locked.map(({ period }) => String(period)))
  refuseForeignDays([...days].sort(), plans, args)

  const sold = await step('basis', () => soldIn(context, sales, { period: basisPeriod, interval, grain }))
  const kept = new Set(locked.map(row => `${row.period} ${combinationOf(row)}`))
  const periodOf = (number: number) => monthsAfter(basisPeriod.from, number * MONTHS[interval])
  const cells = await step(
    'forecast',
    sold =>
      forecast(combinationsOf(sold, args), args, args.method, (number, combination) =>
        kept.has(`${periodOf(number)} ${combination}`),
      ),
    sold,
  )
  const amounts =
    args.total === null
      ? await step('growth', cells => grown(cells, args.growth), cells)
      : await step('spread', cells => met(cells, args, lockedCents(locked, goalPeriod)), cells)
  const goals = cells.map(({ number, dimensions, basis }, place) => ({
    ...{ period: periodOf(number), ...dimensions },
    ...{ basisAmount: decimal(basis, 4), goalAmount: decimal(amounts[place] ?? 0n, 2), locked: false },
  }))
  await step('write', goals => writeGoals(context, goals, reach), goals)
  await step('actuals', () => writeActuals(context, sales, args))

  const outcome = await countGoals(context)
  await recordRun(context, { ...outcome, salesModel: sales.model, salesVersion: sales.version })
  return { ...outcome, salesVersion: sales.version }
}

/** Step 3, without a total: the forecasts times 1 + growth, in cents. */
function grown(cells: readonly Forecast[], growth: string): bigint[] {
  const factor = 1_000_000n + units(growth, 6)
  const cents = cells.map(({ basis }) => rounded(basis * factor, 10n ** 8n))
  refuseLarge(largest(cents))
  return cents
}

/** Steps 3 and 4, with a total: 1 + growth is a factor of every weight alike and so cancels out, unless it is 0. */
function met(cells: readonly Forecast[], { total, growth }: ComputeGoals, locked: bigint): bigint[] {
  const rest = units(total ?? '0', 2) - locked
  refuseUnmet(rest, BigInt(cells.length))
  const isNothing = units(growth, 6) === -1_000_000n
  return spread(
    cells.map(({ basis }) => (isNothing ? 0n : positive(basis))),
    rest,
  )
}

const lockedCents = (locked: readonly Row[], { from, to }: Period): bigint =>
  sum(
    locked
      .filter(({ period }) => from <= String(period) && String(period) < to)
      .map(({ goalAmount }) => units(String(goalAmount), 2)),
  )

/** Replaces the goals that are not locked. */
async function writeGoals(context: FrameFunctionContext<ComputeGoals>, goals: Row[], reach: Period): Promise<void> {
  const { args, pl, table } = context
  await context.remove(
    'goals',
    table('goals')
      .filter(within(pl, 'period', reach))
      .filter(pl.col('locked').not()),
  )
  const before = { from: reach.from, to: args.goalPeriod.from }
  await context.remove('actuals', table('actuals').filter(within(pl, 'period', before)))
  await context.append('goals', context.frame(GOAL_COLUMNS, goals))
}

/** The outcome, over all goals of the period, the locked ones too. @throws TeatreeError BAD_VALUE */
async function countGoals({ args, pl, rows, table }: FrameFunctionContext<ComputeGoals>) {
  const goals = table('goals').filter(within(pl, 'period', args.goalPeriod))
  const [row] = await rows(goals.select(pl.len().alias('cells'), pl.col('goalAmount').sum().alias('total')))
  const total = units(String(row?.total ?? '0.00'), 2)
  refuseLarge(total)
  return { cells: String(row?.cells), total: decimal(total, 2) }
}
