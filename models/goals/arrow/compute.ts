import type { FrameFunctionContext, LazyDataFrame, Row } from 'teatree'
import { refuseLarge, units } from '../amounts.ts'
import { type ComputeGoals, reachOf, refuseUnmet } from '../compute.ts'
import { noSales } from '../forecast.ts'
import type { Period } from '../intervals.ts'
import { refuseForeignDays } from '../locks.ts'
import { sumActuals, writeActuals } from './actuals.ts'
import { decimal, fromUnits, largest, positive, scaled, unitsIn, whole } from './amounts.ts'
import { combinationsIn, forecast } from './forecast.ts'
import { DIMENSION_COLUMNS, within } from './frames.ts'
import { readPlans, recordRun } from './runs.ts'
import { soldIn } from './sales.ts'
import { spread } from './spread.ts'

/** Computes the goals of the goal period, step by step, and the actuals beside them. */
export async function computeGoals(context: FrameFunctionContext<ComputeGoals>): Promise<Row> {
  const { args, pl, rows, step, table } = context
  const { basisPeriod, goalPeriod, interval, grain } = args
  const sales = context.reads.find(({ alias }) => alias === 'salesModel')
  if (!sales) throw new Error('the sales model is not attached')
  const plans = await readPlans(context, table('runs'))
  const reach = reachOf(plans, goalPeriod)
  const locked = table('goals')
    .filter(within(pl, 'period', reach))
    .filter(pl.col('locked'))
  const days = await rows(locked.select(pl.col('period')).unique().sort(pl.col('period')))
  refuseForeignDays(
    days.map(({ period }) => String(period)),
    plans,
    args,
  )

  const sold = await soldIn(context, 'basis', sales, { period: basisPeriod, interval, grain })
  if ((await unitsIn(context, sold, pl.len(), 0)) === 0n) throw noSales(basisPeriod)
  refuseLarge(await largest(context, sold, 'amount', 4))
  const combinations = await step('combinations', sold => combinationsIn(pl, sold), sold)
  const kept = days.length > 0 ? locked : null
  const cells = await step(
    'forecast',
    (sold, combinations) => forecast(context, sold, combinations, args, args.method, kept),
    sold,
    combinations,
  )
  const most = await largest(context, cells, 'basis')
  refuseLarge(most)
  const amounts = args.total === null ? await grown(context, cells, most) : await met(context, cells, locked)
  const actuals = await sumActuals(context, sales, args)
  // The goals are computed as they are written: as many as there are cells.
  const write = async (_: LazyDataFrame) => {
    await writeGoals(context, amounts, reach)
    await writeActuals(context, actuals, goalPeriod)
  }
  await step('write', write, cells)

  const outcome = await countGoals(context)
  await recordRun(context, { ...outcome, salesModel: sales.model, salesVersion: sales.version })
  return { ...outcome, salesVersion: sales.version }
}

/**
 * Step 3, without a total: the forecasts times 1 + growth, in cents, as they are read. The largest goal comes of `most`, the largest
 * forecast.
 */
async function grown(
  { args, pl, step }: FrameFunctionContext<ComputeGoals>,
  cells: LazyDataFrame,
  most: bigint,
): Promise<LazyDataFrame> {
  const factor = 1_000_000n + units(args.growth, 6)
  await step('growth', (_: LazyDataFrame) => refuseLarge((most * factor + HALF) / (2n * HALF)), cells)
  return cells.withColumns(scaled(pl, pl.col('basis'), factor, 8).alias('cents'))
}

/** Of a cent, in ten-thousandths times 10^6. */
const HALF = 50_000_000n

/** Steps 3 and 4, with a total. */
async function met(
  context: FrameFunctionContext<ComputeGoals>,
  cells: LazyDataFrame,
  locked: LazyDataFrame,
): Promise<LazyDataFrame> {
  const amounts = await context.step('spread', cells => shared(context, cells, locked), cells)
  refuseLarge(await largest(context, amounts, 'cents'))
  return amounts
}

/** 1 + growth is a factor of every weight alike and so cancels out, unless it is 0. */
async function shared(
  context: FrameFunctionContext<ComputeGoals>,
  cells: LazyDataFrame,
  locked: LazyDataFrame,
): Promise<LazyDataFrame> {
  const { args, pl } = context
  const kept = locked.filter(within(pl, 'period', args.goalPeriod))
  const rest = units(args.total ?? '0', 2) - (await unitsIn(context, kept, pl.col('goalAmount').sum(), 2))
  refuseUnmet(rest, await unitsIn(context, cells, pl.len(), 0))
  const isNothing = units(args.growth, 6) === -1_000_000n
  const weight = isNothing ? pl.col('basis').mul(whole(pl, 0)) : positive(pl, pl.col('basis'))
  return spread(context, cells, { weight, total: rest, places: ['number', 'combination'] })
}

/** Replaces the goals that are not locked. */
async function writeGoals(
  context: FrameFunctionContext<ComputeGoals>,
  amounts: LazyDataFrame,
  reach: Period,
): Promise<void> {
  const { args, pl, table } = context
  await context.remove(
    'goals',
    table('goals')
      .filter(within(pl, 'period', reach))
      .filter(pl.col('locked').not()),
  )
  const before = { from: reach.from, to: args.goalPeriod.from }
  await context.remove('actuals', table('actuals').filter(within(pl, 'period', before)))
  const goals = amounts.select(
    pl.col('period'),
    ...DIMENSION_COLUMNS.map(name => pl.col(name)),
    fromUnits(pl, pl.col('basis'), 4).alias('basisAmount'),
    fromUnits(pl, pl.col('cents'), 2).alias('goalAmount'),
    pl.lit(false).alias('locked'),
  )
  await context.append('goals', goals)
}

/** The outcome, over all goals of the period, the locked ones too. @throws TeatreeError BAD_VALUE */
async function countGoals({ args, pl, rows, table }: FrameFunctionContext<ComputeGoals>) {
  const goals = table('goals').filter(within(pl, 'period', args.goalPeriod))
  const [row] = await rows(goals.select(pl.len().alias('cells'), pl.col('goalAmount').sum().alias('total')))
  const total = units(String(row?.total ?? '0.00'), 2)
  refuseLarge(total)
  return { cells: String(row?.cells), total: decimal(total, 2) }
}
