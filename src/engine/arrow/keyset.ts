import type { LogicalType, Value } from '../../kinds/types.ts'
import type { Direction, Nulls } from '../plan.ts'
import { literalOf } from './columns.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** One column of a frame, in an order that tells all rows apart. */
export interface OrderKey {
  column: string
  type: LogicalType
  direction: Direction
  nulls: Nulls
}

/** The first rows of the frame in the order. */
export function firstInOrder(frame: LazyDataFrame, keys: readonly OrderKey[], limit: number): LazyDataFrame {
  if (keys.length === 0) return frame.limit(limit)
  const by = keys.map(({ column }) => pl.col(column))
  const descending = keys.map(({ direction }) => direction === 'DESC')
  const nullsLast = keys.map(({ nulls }) => nulls === 'LAST')
  return frame.sort(by, descending, nullsLast).limit(limit)
}

/** The same order from its end. */
export const reversed = (keys: readonly OrderKey[]): OrderKey[] =>
  keys.map(key => ({
    ...key,
    direction: key.direction === 'ASC' ? 'DESC' : 'ASC',
    nulls: key.nulls === 'FIRST' ? 'LAST' : 'FIRST',
  }))

/** Whether a row is behind the position, which has a value for each key: `a > 1 OR (a = 1 AND (b > 2 OR …))`. */
export function behind(keys: readonly OrderKey[], position: readonly Value[]): Expr {
  if (keys.length !== position.length) throw new Error('a position has a value for each column of the order')
  const parts = keys.map((key, index) => ({ key, value: position[index] ?? null }))
  return parts.reduceRight<Expr>((rest, { key, value }) => {
    const operand = pl.col(key.column)
    const isThere = value === null ? operand.isNull() : operand.eq(literalOf(key.type, value))
    return beyond(key, value).or(isThere.and(rest))
  }, pl.lit(false))
}

/** Where the key is beyond the value. Nulls lie on one side of everything. */
function beyond({ column, type, direction, nulls }: OrderKey, value: Value): Expr {
  const operand = pl.col(column)
  if (value === null) return nulls === 'FIRST' ? operand.isNotNull() : pl.lit(false)
  const literal = literalOf(type, value)
  const comparison = direction === 'ASC' ? operand.gt(literal) : operand.lt(literal)
  return nulls === 'LAST' ? comparison.or(operand.isNull()) : comparison
}
