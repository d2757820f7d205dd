import type { FrameFunctionContext, ReadFrames, Row } from 'teatree'
import type { ActualsWritten } from '../actuals.ts'
import type { Grain } from '../dimensions.ts'
import type { Interval, Period } from '../intervals.ts'
import { decimal, sum } from './amounts.ts'
import { combinationOf, within } from './frames.ts'
import { readPlans, recordRun } from './runs.ts'
import { ACTUAL_COLUMNS, soldIn } from './sales.ts'

/** Sums the sales of the last run's goal period anew; runs by itself on each version of the sales model. */
export async function refreshActuals(context: FrameFunctionContext): Promise<Row> {
  const { pl, table } = context
  const [plan] = await readPlans(context, table('runs'))
  const sales = context.reads.find(({ model }) => model === plan?.salesModel)
  // no goals yet, or their sales are no longer read: what there is stays as it is
  if (!plan || !sales) return { cells: '0', total: '0.0000', salesVersion: plan?.salesVersion ?? 0 }

  const outcome = await context.step('actuals', () => writeActuals(context, sales, plan))
  // one row tells where the actuals are from: there would soon be as many as versions of the sales
  const refreshes = table('runs').filter(pl.col('function').eq(pl.lit('refreshActuals')))
  const [plans, since] = [context.frame({ since: 'TIMESTAMP' }, [{ since: plan.at }]), pl.col('at').gt(pl.col('since'))]
  await context.remove('runs', refreshes.join(plans, { how: 'cross' }).filter(since))
  await recordRun(context, { salesModel: sales.model, salesVersion: sales.version, cells: outcome.cells })
  return { ...outcome, salesVersion: sales.version }
}

/**
 * Makes the actuals of the goal period those of the sales. Only rows that differ are touched.
 * @throws TeatreeError BAD_VALUE where a sum has too many digits
 */
export async function writeActuals(
  context: FrameFunctionContext<unknown>,
  sales: ReadFrames,
  { goalPeriod, interval, grain }: { goalPeriod: Period; interval: Interval; grain: Grain },
): Promise<ActualsWritten> {
  const { pl, frame, rows, table } = context
  const sold = await soldIn(context, sales, { period: goalPeriod, interval, grain })
  const actuals: Row[] = sold.map(({ period, dimensions, amount }) => ({
    period,
    ...dimensions,
    amount: decimal(amount, 4),
  }))
  const there = await rows(table('actuals').filter(within(pl, 'period', goalPeriod)))
  const [had, has] = [new Set(there.map(textOf)), new Set(actuals.map(textOf))]
  const write = (rows: Row[]) => frame(ACTUAL_COLUMNS, rows)
  await context.remove('actuals', write(there.filter(row => !has.has(textOf(row)))))
  await context.append('actuals', write(actuals.filter(row => !had.has(textOf(row)))))
  return { cells: String(sold.length), total: decimal(sum(sold.map(({ amount }) => amount)), 4) }
}

const textOf = (row: Row): string => `${row.period} ${combinationOf(row)} ${row.amount}`
