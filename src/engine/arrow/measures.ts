import type { Table } from '../../kinds/kind.ts'
import { decimalOf, type LogicalType } from '../../kinds/types.ts'
import { isWhole, WIDE } from '../measures.ts'
import type { Bucket, Measure } from '../plan.ts'
import { columnOf } from '../plan-tables.ts'
import { polarsType } from './columns.ts'
import pl, { type Expr } from './polars.ts'

/** The measure over a group, null where no value is left of it; its type is measureType's. */
export function measureExpr(table: Table, measure: Measure): Expr {
  if (measure.is === 'count') return pl.len().cast(pl.Int64)
  const column = pl.col(measure.column)
  const { type } = columnOf(table, measure.column)
  switch (measure.is) {
    case 'countDistinct':
      return column.dropNulls().nUnique().cast(pl.Int64)
    case 'min':
      return column.min()
    case 'max':
      return column.max()
    case 'sum':
      return ofSome(column, sumOf(column, type))
    case 'avg':
      return ofSome(column, meanOf(type, sumOf(column, type), column.count()))
  }
}

/** The mean of values of the type, of which sum and count are known. */
export const meanOf = (type: LogicalType, sum: Expr, count: Expr): Expr =>
  unscaled(sum, type).div(count.cast(pl.Float64).mul(power(type)))

/** Integers are summed as decimals: Polars' sums go round where the type ends, without a word. */
function sumOf(column: Expr, type: LogicalType): Expr {
  // The sum of doubles depends on their order.
  if (type === 'DOUBLE') return column.sort().sum()
  if (isWhole(type)) return column.cast(polarsType(WIDE)).sum()
  const isPast = isPastOf(column, type)
  return isPast ? column.filter(isPast.not()).sum() : column.sum()
}

/** Without its point a decimal becomes a double in one rounding, and the mean by another. */
function unscaled(sum: Expr, type: LogicalType): Expr {
  if (!decimalOf(type)) return sum.cast(pl.Float64)
  return sum.cast(pl.Utf8).str.replace(pl.lit('.'), pl.lit(''), true).cast(polarsType(WIDE)).cast(pl.Float64)
}

const power = (type: LogicalType): Expr => pl.lit(10 ** (decimalOf(type)?.scale ?? 0)).cast(pl.Float64)

/** The measure where the column has any value, else null: Polars' sum of nothing is 0. */
export const ofSome = (column: Expr, measure: Expr): Expr =>
  pl
    .when(column.count().gt(pl.lit(0)))
    .then(measure)
    .otherwise(pl.lit(null))

/** Decimals of fewer digits: what can be in a table has no sum past 38. */
const SAFE_DIGITS = 28
/** In units of the last place; the sum of doubles that tells it is not off by as much as a millionth. */
const MAX_SUM = 0.999999e38

/**
 * Whether the sum may be past the 38 digits of its type, where that can be: Polars ends its process where it makes a single
 * value of such a sum, and goes round past 128 bits. Null where it cannot be.
 */
export function isPast(table: Table, measure: Measure): Expr | null {
  if (measure.is !== 'sum' && measure.is !== 'avg') return null
  return isPastOf(pl.col(measure.column), columnOf(table, measure.column).type)
}

function isPastOf(column: Expr, type: LogicalType): Expr | null {
  const { precision = 0, scale = 0 } = decimalOf(type) ?? {}
  if (precision <= SAFE_DIGITS) return null
  const size = column.cast(pl.Float64).sum().abs()
  return size.gtEq(pl.lit(MAX_SUM / 10 ** scale)).and(column.count().gt(pl.lit(1)))
}

const EVERY: Record<Bucket, string> = { DAY: '1d', WEEK: '1w', MONTH: '1mo', QUARTER: '1q', YEAR: '1y' }
/** The first day or instant of the bucket; weeks begin on Monday. */
export const bucketExpr = (operand: Expr, bucket: Bucket): Expr => operand.dt.truncate(EVERY[bucket])
