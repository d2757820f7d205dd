import type { FrameFunctionContext, LazyDataFrame, ReadFrames, Row } from 'teatree'
import type { ActualsSummed } from '../actuals.ts'
import { refuseLarge, units } from '../amounts.ts'
import type { Outline } from '../forecast.ts'
import type { Period } from '../intervals.ts'
import { decimal, largest, unitsIn } from './amounts.ts'
import { CELL_KEY, within } from './frames.ts'
import { readPlans, recordRun } from './runs.ts'
import { soldIn } from './sales.ts'

/** Sums the sales of the last run's goal period anew; runs by itself on each version of the sales model. */
export async function refreshActuals(context: FrameFunctionContext): Promise<Row> {
  const { pl, table } = context
  const [plan] = await readPlans(context, table('runs'))
  const sales = context.reads.find(({ model }) => model === plan?.salesModel)
  // no goals yet, or their sales are no longer read: what there is stays as it is
  if (!plan || !sales) return { cells: '0', total: '0.0000', salesVersion: plan?.salesVersion ?? 0 }

  const sold = await sumActuals(context, sales, plan)
  const outcome = await context.step('write', sold => writeActuals(context, sold, plan.goalPeriod), sold)
  // one row tells where the actuals are from: there would soon be as many as versions of the sales
  const refreshes = table('runs').filter(pl.col('function').eq(pl.lit('refreshActuals')))
  const [plans, since] = [context.frame({ since: 'TIMESTAMP' }, [{ since: plan.at }]), pl.col('at').gt(pl.col('since'))]
  await context.remove('runs', refreshes.join(plans, { how: 'cross' }).filter(since))
  await recordRun(context, { salesModel: sales.model, salesVersion: sales.version, cells: outcome.cells })
  return { ...outcome, salesVersion: sales.version }
}

/** The sales of the goal period, summed. @throws TeatreeError BAD_VALUE where a sum has too many digits */
export async function sumActuals(
  context: FrameFunctionContext<unknown>,
  sales: ReadFrames,
  { goalPeriod, interval, grain }: Omit<Outline, 'basisPeriod'>,
): Promise<LazyDataFrame> {
  const sold = await soldIn(context, 'actuals', sales, { period: goalPeriod, interval, grain })
  refuseLarge(await largest(context, sold, 'amount', 4))
  return sold
}

/** Makes the actuals of the goal period those sums. Only rows that differ are touched. */
export async function writeActuals(
  context: FrameFunctionContext<unknown>,
  sold: LazyDataFrame,
  goalPeriod: Period,
): Promise<ActualsSummed> {
  const { pl, rows, table } = context
  const actuals = sold.withColumns(pl.col('amount').cast(pl.Decimal(18, 4)))
  const there = table('actuals').filter(within(pl, 'period', goalPeriod))
  if ((await unitsIn(context, there, pl.len(), 0)) === 0n) await context.append('actuals', actuals)
  else {
    const same = { on: [...CELL_KEY, 'amount'], how: 'anti' as const, nullsEqual: true }
    const added = actuals.join(there, same)
    await context.remove('actuals', there.join(actuals, same))
    await context.append('actuals', added)
  }
  const [row] = await rows(sold.select(pl.len().alias('cells'), pl.col('amount').sum().alias('total')))
  return { cells: String(row?.cells), total: decimal(units(String(row?.total ?? '0'), 4), 4) }
}
