import type { FrameTools, ReadFrames, Row } from 'teatree'
import { refuseLarge, units } from '../amounts.ts'
import { DIMENSIONS, type Grain } from '../dimensions.ts'
import { beginning, type Interval, type Period } from '../intervals.ts'
import { largest } from './amounts.ts'
import { combinationOf, DIMENSION_COLUMNS, dimensionsOf, within } from './frames.ts'

/** What was sold in an interval, in ten-thousandths. */
export interface Sold {
  /** The first day of the interval. */
  period: string
  dimensions: Row
  amount: bigint
}

/**
 * The sales of the period by interval and combination, those that come first in the order that settles ties first.
 * Polars sums them by the month, JavaScript the months.
 * @throws TeatreeError BAD_VALUE where a sum has too many digits
 */
export async function soldIn(
  { pl, rows }: FrameTools,
  sales: ReadFrames,
  { period, interval, grain }: { period: Period; interval: Interval; grain: Grain },
): Promise<Sold[]> {
  const columns = Object.entries(DIMENSIONS).flatMap(([dimension, column]) =>
    grain.some(one => one === dimension) ? [column] : [],
  )
  const month = pl.col('date').dt.year().mul(12).add(pl.col('date').dt.month()).sub(1).cast(pl.Int32).alias('month')
  const lines = (await sales.table('sales', ['date', 'amount', ...columns])).filter(within(pl, 'date', period))
  const byMonth = lines
    .select(month, pl.col('amount'), ...columns.map(name => pl.col(name)))
    .groupBy(['month', ...columns])
    .agg(pl.col('amount').sum())
    .sort([...columns.map(name => pl.col(name)), pl.col('month')], false, false)
  const sums = new Map<string, Sold>()
  for (const row of await rows(byMonth)) {
    const period = beginning(dayOf(Number(row.month)), interval)
    const key = `${period} ${combinationOf(row)}`
    const amount = (sums.get(key)?.amount ?? 0n) + units(String(row.amount), 4)
    sums.set(key, { period, dimensions: dimensionsOf(row), amount })
  }
  const sold = [...sums.values()]
  refuseLarge(largest(sold.map(({ amount }) => amount)))
  return sold
}

/** The first day of a month that is counted from the year 0. */
const dayOf = (month: number): string =>
  `${String(Math.floor(month / 12)).padStart(4, '0')}-${String((month % 12) + 1).padStart(2, '0')}-01`

/** How rows of `actuals` are written. */
export const ACTUAL_COLUMNS = {
  period: 'DATE',
  ...(Object.fromEntries(DIMENSION_COLUMNS.map(name => [name, 'VARCHAR'])) as Record<string, 'VARCHAR'>),
  amount: 'DECIMAL(18,4)',
} as const
