import { type ReadModel, type Sql, TeatreeError } from 'teatree'
import { refuseTooLarge, rounded, toTenThousandths, wholeNumber } from './amounts.ts'
import { ALL_DIMENSIONS, DIMENSION_ORDER, dimensionsAt, type Grain, sameDimensions } from './dimensions.ts'
import { type Interval, intervalsBetween, MONTHS, type Period } from './intervals.ts'

export type Method = 'SAME_PERIOD_LAST_YEAR' | 'BASIS_AVERAGE' | 'LINEAR_TREND'

/** What a forecast is made from. Both periods begin and end on borders of the interval. */
export interface Outline {
  readonly basisPeriod: Period
  readonly goalPeriod: Period
  readonly interval: Interval
  readonly grain: Grain
}

/**
 * Step 1: sums the sales of the basis period. Intervals are known by their number from here on: 0 is the first of the
 * basis period, and those of the goal period are counted on from there, across a gap or backwards.
 *
 *   basis (number, combination, amount)   ten-thousandths; only intervals with sales
 *   combinations (combination, siteId …)  numbered in the order that settles ties
 *
 * @throws TeatreeError NO_BASIS where there are no sales; BAD_VALUE where a sum has too many digits
 */
export async function sumBasis(sql: Sql, sales: ReadModel, outline: Outline): Promise<void> {
  const { basisPeriod, interval, grain } = outline
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE basis AS
       SELECT *, dense_rank() OVER (ORDER BY ${DIMENSION_ORDER}) AS combination
       FROM (
         SELECT datediff('month', $from::DATE, date) // ${MONTHS[interval]} AS number, ${dimensionsAt(grain)},
           ${toTenThousandths('sum(amount)')} AS amount
         FROM ${sales.table('sales')} WHERE date >= $from::DATE AND date < $to::DATE GROUP BY ALL
       );
     CREATE OR REPLACE TEMP TABLE combinations AS SELECT DISTINCT combination, ${ALL_DIMENSIONS} FROM basis`,
    { from: basisPeriod.from, to: basisPeriod.to },
  )
  if ((await wholeNumber(sql, 'SELECT count(*) FROM combinations')) === 0n) {
    throw noSales(basisPeriod)
  }
  await refuseTooLarge(sql, 'SELECT max(abs(amount)) FROM basis')
}

export const noSales = ({ from, to }: Period): TeatreeError =>
  new TeatreeError('NO_BASIS', `there are no sales from ${from} to before ${to}`)

/**
 * Step 2: forecasts every combination for every interval of the goal period, but for cells that are locked.
 *
 *   cells (number, combination, basis)    ten-thousandths, rounded; with them `basis` is gone
 *
 * @throws TeatreeError BAD_VALUE where a forecast has too many digits
 */
export async function forecast(sql: Sql, outline: Outline, method: Method): Promise<void> {
  const { basisPeriod, goalPeriod, interval } = outline
  const number = (border: string) => intervalsBetween(basisPeriod.from, border, interval)
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE cells AS
       WITH future AS (
         SELECT number, combination
         FROM range(${number(goalPeriod.from)}, ${number(goalPeriod.to)}) AS numbers(number) CROSS JOIN combinations
       )
       SELECT number, combination, basis
       FROM (${FORECASTS[method](number(basisPeriod.to), 12 / MONTHS[interval])})
       ANTI JOIN (
         SELECT datediff('month', $basisFrom::DATE, period) // ${MONTHS[interval]} AS number, combination
         FROM goals JOIN combinations ON ${sameDimensions('goals', 'combinations')}
         WHERE locked AND period >= $from::DATE AND period < $to::DATE
       ) USING (number, combination);
     DROP TABLE temp.basis`,
    { basisFrom: basisPeriod.from, from: goalPeriod.from, to: goalPeriod.to },
  )
  await refuseTooLarge(sql, 'SELECT max(abs(basis)) FROM cells')
}

/** For each method the forecast of each cell of `future`, rounded. `n`: how many intervals the basis has. */
const FORECASTS: Record<Method, (n: number, intervalsInYear: number) => string> = {
  SAME_PERIOD_LAST_YEAR: (_, intervalsInYear) => `
    SELECT future.number, combination, coalesce(amount, 0) AS basis
    FROM future LEFT JOIN (SELECT number + ${intervalsInYear} AS number, combination, amount FROM basis)
      USING (number, combination)`,

  BASIS_AVERAGE: n => `
    SELECT number, combination, basis
    FROM future JOIN (
      SELECT combination, ${rounded('sum(amount)', BigInt(n))} AS basis FROM basis GROUP BY combination
    ) USING (combination)`,

  LINEAR_TREND: n => (n === 1 ? flat : leastSquares(BigInt(n))),
}

/** A line through one interval. */
const flat = `
  SELECT future.number, combination, greatest(0, amount) AS basis
  FROM future JOIN basis USING (combination)`

/**
 * The line a + b · number with the least sum of squares. With x for the numbers 0 … n - 1 and y for the amounts, where
 * intervals without sales add 0 to the sums over y,
 *
 *   a = (Σy Σx² - Σx Σxy) / d     b = (n Σxy - Σx Σy) / d     d = n Σx² - (Σx)²
 *
 * Bound: y is below 10^18, n at most 1,200 and a number within 120,000 (the years 1 to 9999 in months), so that the
 * numerator stays below 10^33.
 */
function leastSquares(n: bigint): string {
  const x = (n * (n - 1n)) / 2n
  const xx = (n * (n - 1n) * (2n * n - 1n)) / 6n
  const numerator = `greatest(0, y * (${xx} - number * ${x}) + xy * (number * ${n} - ${x}))`
  return `
    SELECT number, combination, ${rounded(numerator, n * xx - x * x)} AS basis
    FROM future JOIN (
      SELECT combination, sum(amount) AS y, sum(number * amount) AS xy FROM basis GROUP BY combination
    ) USING (combination)`
}
