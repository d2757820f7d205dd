import type { Expr, FrameTools, LazyDataFrame, Polars } from 'teatree'
import type { Method, Outline } from '../forecast.ts'
import { intervalsBetween, MONTHS, monthsAfter } from '../intervals.ts'
import { positive, rounded, toUnits, whole } from './amounts.ts'
import { byDimensions, DIMENSION_COLUMNS } from './frames.ts'

/** The combinations of which anything was sold, numbered in the order that settles ties: Polars compares strings by their UTF-8 bytes. */
export function combinationsIn(pl: Polars, sold: LazyDataFrame): LazyDataFrame {
  const dimensions = DIMENSION_COLUMNS.map(name => pl.col(name))
  const number = pl.col('combination').cast(pl.Int32)
  return sold
    .select(...dimensions)
    .unique()
    .sort(dimensions, false, false)
    .withRowIndex('combination')
    .select(number, ...dimensions)
}

/**
 * Step 2: every combination in every interval of the goal period, but for locked cells, in the order of the intervals.
 *
 *   number, period   the interval, by its number and first day
 *   combination      by its number
 *   siteId …         its dimensions: to have them here costs less than to join them in order afterwards
 *   basis            the forecast, in ten-thousandths
 *
 * @param locked the goals that are; null where there are none
 */
export function forecast(
  { pl, frame }: FrameTools,
  sold: LazyDataFrame,
  combinations: LazyDataFrame,
  { basisPeriod, goalPeriod, interval }: Outline,
  method: Method,
  locked: LazyDataFrame | null,
): LazyDataFrame {
  const number = (border: string) => intervalsBetween(basisPeriod.from, border, interval)
  const intervals = (from: string, to: string) =>
    frame(
      { number: 'INTEGER', period: 'DATE' },
      Array.from({ length: number(to) - number(from) }, (_, index) => ({
        number: number(from) + index,
        period: monthsAfter(from, index * MONTHS[interval]),
      })),
    )
  const basis = sold
    .join(intervals(basisPeriod.from, basisPeriod.to), { on: 'period', how: 'inner' })
    .join(combinations, byDimensions('inner'))
    .select(pl.col('number'), pl.col('combination'), toUnits(pl, pl.col('amount'), 4).alias('amount'))
  const all = intervals(goalPeriod.from, goalPeriod.to).join(combinations, { how: 'cross', ...IN_ORDER })
  const kept = locked?.join(combinations, byDimensions('inner')).select(pl.col('period'), pl.col('combination'))
  const future = kept ? all.join(kept, { on: ['period', 'combination'], how: 'anti', ...IN_ORDER }) : all
  return FORECASTS[method](pl, future, basis, {
    n: BigInt(number(basisPeriod.to)),
    year: 12 / MONTHS[interval],
  }).select(...['number', 'period', 'combination', ...DIMENSION_COLUMNS, 'basis'].map(name => pl.col(name)))
}

/** Rows stay in the order that they have, which would cost twice as much to be made again. */
const IN_ORDER = { maintainOrder: 'left' } as const

type MakeForecast = (
  pl: Polars,
  future: LazyDataFrame,
  basis: LazyDataFrame,
  intervals: { n: bigint; year: number },
) => LazyDataFrame

/** `n`: how many intervals the basis has; `year`: how many there are in one. */
const FORECASTS: Record<Method, MakeForecast> = {
  SAME_PERIOD_LAST_YEAR: (pl, future, basis, { year }) => {
    const aYearOn = pl.col('number').add(pl.lit(year)).cast(pl.Int32).alias('number')
    const before = basis.select(aYearOn, pl.col('combination'), pl.col('amount').alias('basis'))
    return future
      .join(before, { on: ['number', 'combination'], how: 'left', ...IN_ORDER })
      .withColumns(pl.col('basis').fillNull(whole(pl, 0)))
  },
  BASIS_AVERAGE: (pl, future, basis, { n }) =>
    joined(future, sums(pl, basis, rounded(pl, pl.col('y'), n).alias('basis'))),
  LINEAR_TREND: (pl, future, basis, { n }) =>
    n === 1n
      ? joined(future, sums(pl, basis, positive(pl, pl.col('y')).alias('basis')))
      : joined(future, sums(pl, basis)).withColumns(leastSquares(pl, n).alias('basis')),
}

const joined = (future: LazyDataFrame, sums: LazyDataFrame): LazyDataFrame =>
  future.join(sums, { on: 'combination', how: 'inner', ...IN_ORDER })

/** Of each combination, the sums over its intervals that forecast.ts beside this folder tells. */
function sums(pl: Polars, basis: LazyDataFrame, ...more: Expr[]): LazyDataFrame {
  const byNumber = pl.col('amount').mul(pl.col('number').cast(pl.Decimal(38, 0)))
  return basis
    .groupBy('combination')
    .agg(pl.col('amount').sum().alias('y'), byNumber.sum().alias('xy'))
    .withColumns(pl.col('y').cast(pl.Decimal(38, 0)), pl.col('xy').cast(pl.Decimal(38, 0)))
    .withColumns(...more)
}

/** The line that forecast.ts beside this folder derives, read off at `number`. */
function leastSquares(pl: Polars, n: bigint): Expr {
  const x = (n * (n - 1n)) / 2n
  const xx = (n * (n - 1n) * (2n * n - 1n)) / 6n
  const number = pl.col('number').cast(pl.Decimal(38, 0))
  const [y, xy] = [pl.col('y'), pl.col('xy')]
  const level = y.mul(whole(pl, xx).sub(number.mul(whole(pl, x))))
  const slope = xy.mul(number.mul(whole(pl, n)).sub(whole(pl, x)))
  return rounded(pl, positive(pl, level.add(slope)), n * xx - x * x)
}
