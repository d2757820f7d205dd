import type { Expr, FrameFunctionContext, LazyDataFrame, ReadFrames } from 'teatree'
import { DIMENSIONS, type Grain } from '../dimensions.ts'
import { type Interval, type Period, split } from '../intervals.ts'
import { unitsIn } from './amounts.ts'
import { DIMENSION_COLUMNS, within } from './frames.ts'

/** How Polars calls the intervals. */
const EVERY: Record<Interval, string> = { MONTH: '1mo', QUARTER: '1q', YEAR: '1y' }

/** What a sale takes of memory where the sum of each is another: Polars does not spill. */
const BYTES_PER_SALE = 105

/**
 * What was sold in a period, by interval and combination. Polars streams the sum, as long as no join is in the frame: with one it
 * would take all sales into memory. The more sales the period has, the more parts of it are summed, one after the other: whole
 * intervals, so that nothing is summed twice.
 *
 *   period   the first day of the interval
 *   siteId … the dimensions; null outside the grain
 *   amount   the sum, with four places
 */
export async function soldIn(
  context: FrameFunctionContext<unknown>,
  name: string,
  sales: ReadFrames,
  { period, interval, grain }: { period: Period; interval: Interval; grain: Grain },
): Promise<LazyDataFrame> {
  const { pl, step, memoryBytes } = context
  const columns: string[] = Object.entries(DIMENSIONS).flatMap(([dimension, column]) =>
    grain.some(one => one === dimension) ? [column] : [],
  )
  const dimension = (name: string): Expr =>
    columns.includes(name) ? pl.col(name) : pl.lit(null).cast(pl.Utf8).alias(name)
  const lines = await sales.table('sales', ['date', 'amount', ...columns])
  const sum = (part: Period) =>
    lines
      .filter(within(pl, 'date', part))
      .withColumns(pl.col('date').dt.truncate(EVERY[interval]).alias('period'))
      .groupBy(['period', ...columns])
      .agg(pl.col('amount').sum())
      .select(pl.col('period'), ...DIMENSION_COLUMNS.map(dimension), pl.col('amount').cast(pl.Decimal(38, 4)))
  const count = await unitsIn(context, lines.filter(within(pl, 'date', period)), pl.len(), 0)
  const parts = Math.ceil((Number(count) * BYTES_PER_SALE) / memoryBytes)
  const sums: LazyDataFrame[] = []
  for (const part of split(period, interval, Math.max(1, parts))) sums.push(await step(name, () => sum(part)))
  const [first, ...more] = sums
  return first && more.length === 0 ? first : pl.concat(sums)
}
