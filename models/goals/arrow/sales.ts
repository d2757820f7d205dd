import type { Expr, FrameFunctionContext, LazyDataFrame, Polars, ReadFrames } from 'teatree'
import { DIMENSIONS, type Grain } from '../dimensions.ts'
import { beginning, type Interval, intervalsBetween, monthsAfter, type Period } from '../intervals.ts'
import { DIMENSION_COLUMNS, within } from './frames.ts'

/**
 * What was sold in a period, by interval and combination. Polars streams the sum, which is all of a step; a join in the same
 * frame would have it take all sales into memory.
 *
 *   period   the first day of the interval
 *   siteId … the dimensions; null outside the grain
 *   amount   the sum, with four places
 */
export async function soldIn(
  { pl, frame, step }: FrameFunctionContext<unknown>,
  name: string,
  sales: ReadFrames,
  { period, interval, grain }: { period: Period; interval: Interval; grain: Grain },
): Promise<LazyDataFrame> {
  const columns: string[] = Object.entries(DIMENSIONS).flatMap(([dimension, column]) =>
    grain.some(one => one === dimension) ? [column] : [],
  )
  const [year, month] = [pl.col('date').dt.year(), pl.col('date').dt.month()]
  const ofMonth = year.mul(12).add(month).sub(1).cast(pl.Int32).alias('month')
  const byMonth = await step(name, async () => {
    const lines = (await sales.table('sales', ['date', 'amount', ...columns])).filter(within(pl, 'date', period))
    return sumBy(pl, lines.withColumns(ofMonth), ['month', ...columns])
  })
  const months = frame({ month: 'INTEGER', period: 'DATE' }, monthsOf(period, interval))
  const sums = byMonth.join(months, { on: 'month', how: 'inner' })
  const dimension = (name: string): Expr =>
    columns.includes(name) ? pl.col(name) : pl.lit(null).cast(pl.Utf8).alias(name)
  const sold = (interval === 'MONTH' ? sums : sumBy(pl, sums, ['period', ...columns])).select(
    pl.col('period'),
    ...DIMENSION_COLUMNS.map(dimension),
    pl.col('amount').cast(pl.Decimal(38, 4)),
  )
  // Asked for several times.
  return (await sold.collect()).lazy()
}

const sumBy = (pl: Polars, lines: LazyDataFrame, by: string[]): LazyDataFrame =>
  lines.groupBy(by).agg(pl.col('amount').sum())

/** The months of a period, counted from the year 0, with the interval that each is in. */
function monthsOf({ from, to }: Period, interval: Interval) {
  const first = Number(from.slice(0, -6)) * 12 + Number(from.slice(-5, -3)) - 1
  return Array.from({ length: intervalsBetween(from, to, 'MONTH') }, (_, index) => ({
    month: first + index,
    period: beginning(monthsAfter(from, index), interval),
  }))
}
