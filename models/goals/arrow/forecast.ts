import type { Row } from 'teatree'
import { refuseLarge } from '../amounts.ts'
import { type Method, noSales, type Outline } from '../forecast.ts'
import { intervalsBetween, MONTHS } from '../intervals.ts'
import { largest, positive, rounded, sum } from './amounts.ts'
import { combinationOf } from './frames.ts'
import type { Sold } from './sales.ts'

/** A combination, and what was sold of it, by the number of the interval, counted from the beginning of the basis period. */
export interface Combination {
  dimensions: Row
  sold: ReadonlyMap<number, bigint>
}

/** A cell of the goal period, and its forecast in ten-thousandths. */
export interface Forecast {
  number: number
  dimensions: Row
  basis: bigint
}

/** The combinations of the basis period, in the order that settles ties. @throws TeatreeError NO_BASIS */
export function combinationsOf(sold: readonly Sold[], { basisPeriod, interval }: Outline): Combination[] {
  if (sold.length === 0) throw noSales(basisPeriod)
  const groups = Map.groupBy(sold, ({ dimensions }) => combinationOf(dimensions))
  return [...groups.values()].map(group => ({
    dimensions: group[0]?.dimensions ?? {},
    sold: new Map(
      group.map(({ period, amount }) => [intervalsBetween(basisPeriod.from, period, interval), amount] as const),
    ),
  }))
}

/**
 * Step 2: every combination in every interval of the goal period, but for cells that are locked; in the order that settles ties.
 * @param isLocked told of an interval's number and a combination
 * @throws TeatreeError BAD_VALUE where a forecast has too many digits
 */
export function forecast(
  combinations: readonly Combination[],
  { basisPeriod, goalPeriod, interval }: Outline,
  method: Method,
  isLocked: (number: number, combination: string) => boolean,
): Forecast[] {
  const number = (border: string) => intervalsBetween(basisPeriod.from, border, interval)
  const n = number(basisPeriod.to)
  const lines = combinations.map(({ dimensions, sold }) => ({
    dimensions,
    key: combinationOf(dimensions),
    at: FORECASTS[method](sold, n, 12 / MONTHS[interval]),
  }))
  const cells: Forecast[] = []
  for (let at = number(goalPeriod.from); at < number(goalPeriod.to); at++) {
    for (const line of lines) {
      if (!isLocked(at, line.key)) cells.push({ number: at, dimensions: line.dimensions, basis: line.at(at) })
    }
  }
  refuseLarge(largest(cells.map(({ basis }) => basis)))
  return cells
}

type Line = (number: number) => bigint

/** `n`: how many intervals the basis has. */
const FORECASTS: Record<Method, (sold: ReadonlyMap<number, bigint>, n: number, intervalsInYear: number) => Line> = {
  SAME_PERIOD_LAST_YEAR: (sold, _, intervalsInYear) => number => sold.get(number - intervalsInYear) ?? 0n,
  BASIS_AVERAGE: (sold, n) => {
    const mean = rounded(sum([...sold.values()]), BigInt(n))
    return () => mean
  },
  LINEAR_TREND: (sold, n) => {
    const y = sum([...sold.values()])
    return n === 1 ? () => positive(y) : leastSquares(sold, y, BigInt(n))
  },
}

/** The line that forecast.ts beside this folder derives. */
function leastSquares(sold: ReadonlyMap<number, bigint>, y: bigint, n: bigint): Line {
  const x = (n * (n - 1n)) / 2n
  const xx = (n * (n - 1n) * (2n * n - 1n)) / 6n
  const xy = sum([...sold].map(([number, amount]) => BigInt(number) * amount))
  return at => {
    const number = BigInt(at)
    return rounded(positive(y * (xx - number * x) + xy * (number * n - x)), n * xx - x * x)
  }
}
