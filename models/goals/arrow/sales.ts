import type { Expr, FrameFunctionContext, LazyDataFrame, ReadFrames } from 'teatree'
import { DIMENSIONS, type Grain } from '../dimensions.ts'
import type { Interval, Period } from '../intervals.ts'
import { DIMENSION_COLUMNS, within } from './frames.ts'

/** How Polars calls the intervals. */
const EVERY: Record<Interval, string> = { MONTH: '1mo', QUARTER: '1q', YEAR: '1y' }

/**
 * What was sold in a period, by interval and combination. Polars streams the sum, as long as no join is in the frame: with one it
 * would take all sales into memory.
 *
 *   period   the first day of the interval
 *   siteId … the dimensions; null outside the grain
 *   amount   the sum, with four places
 */
export function soldIn(
  { pl, step }: FrameFunctionContext<unknown>,
  name: string,
  sales: ReadFrames,
  { period, interval, grain }: { period: Period; interval: Interval; grain: Grain },
): Promise<LazyDataFrame> {
  const columns: string[] = Object.entries(DIMENSIONS).flatMap(([dimension, column]) =>
    grain.some(one => one === dimension) ? [column] : [],
  )
  const dimension = (name: string): Expr =>
    columns.includes(name) ? pl.col(name) : pl.lit(null).cast(pl.Utf8).alias(name)
  return step(name, async () => {
    const lines = (await sales.table('sales', ['date', 'amount', ...columns])).filter(within(pl, 'date', period))
    return lines
      .withColumns(pl.col('date').dt.truncate(EVERY[interval]).alias('period'))
      .groupBy(['period', ...columns])
      .agg(pl.col('amount').sum())
      .select(pl.col('period'), ...DIMENSION_COLUMNS.map(dimension), pl.col('amount').cast(pl.Decimal(38, 4)))
  })
}
