import type { Kind, Table } from '../../kinds/kind.ts'
import type { LogicalType } from '../../kinds/types.ts'
import { comparable } from '../comparable.ts'
import type { Filter, RowsPlan } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { literalOf, polarsType, seriesOf } from './columns.ts'
import { likeExpr } from './like.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** What plans are compiled against: the kind, and its tables as frames that have all columns of the kind. */
export interface Frames {
  kind: Kind
  /** @param some what is asked for of the table; rows that surely are none of it may be left out */
  frame(table: string, some?: Asking): LazyDataFrame
}
export type Asking = { is: 'where'; where: Filter } | { is: 'page'; plan: RowsPlan }

/** The rows of `frame`, which are some of the table's, that the filter selects, in the same order. */
export function selected(frames: Frames, table: Table, frame: LazyDataFrame, filter: Filter): LazyDataFrame {
  if (filter.is === 'and' && filter.of.length === 0) return frame
  const { frame: beside, selects } = selecting(frames, table, frame, [filter])
  return beside.filter(allOf(selects))
}

/**
 * Rows of the table, in the same order, with what filters on them need beside them; and of each filter whether it selects a row:
 * true, false, or null as in SQL. What references lead to is joined once for each reference, however many filters look there:
 * a chain of a thousand joins is more than Polars' stack can take.
 */
export function selecting(
  frames: Frames,
  table: Table,
  frame: LazyDataFrame,
  filters: readonly Filter[],
): { frame: LazyDataFrame; selects: Expr[] } {
  const beside = new Map<string, Filter[]>()
  const through = (as: string, of: Filter): Expr => {
    const there = beside.get(as) ?? []
    beside.set(as, [...there, of])
    // A row that leads nowhere is not selected, and `not` selects it.
    return pl.col(besideName(as, there.length)).fillNull(pl.lit(false))
  }
  const selects = filters.map(filter => compile(table, filter, through))
  let joined = frame
  for (const [as, of] of beside) joined = joinedThrough(frames, table, joined, as, of)
  return { frame: joined, selects }
}

/** No column of a kind has a space in its name. */
const besideName = (as: string, index: number) => `${as} ${index}`

function joinedThrough(
  frames: Frames,
  table: Table,
  frame: LazyDataFrame,
  as: string,
  filters: readonly Filter[],
): LazyDataFrame {
  const reference = table.references.find(each => each.as === as)
  if (!reference) throw new Error(`table ${table.name} has no reference ${as}`)
  const target = tableOf(frames.kind, reference.table)
  const { frame: there, selects } = selecting(frames, target, frames.frame(target.name), filters)
  const keys = target.key.map((_, index) => besideName(`${as} key`, index))
  const right = there.select(
    ...target.key.map((name, index) => pl.col(name).alias(keys[index] ?? '')),
    ...selects.map((expr, index) => expr.alias(besideName(as, index))),
  )
  return frame.join(right, {
    leftOn: [...reference.columns],
    rightOn: keys,
    how: 'left',
    nullsEqual: true,
    coalesce: true,
    maintainOrder: 'left',
  })
}

type Through = (as: string, of: Filter) => Expr

function compile(table: Table, filter: Filter, through: Through): Expr {
  switch (filter.is) {
    case 'and':
      return allOf(filter.of.map(part => compile(table, part, through)))
    case 'or':
      return anyOf(filter.of.map(part => compile(table, part, through)))
    case 'not':
      return compile(table, filter.of, through).not()
    case 'through':
      return through(filter.as, filter.of)
    default:
      return operandExpr(pl.col(filter.column), columnOf(table, filter.column).type, filter)
  }
}

export const allOf = (parts: readonly Expr[]): Expr =>
  parts.length > MANY ? pl.allHorizontal([...parts]) : (chained(parts, (a, b) => a.and(b)) ?? pl.lit(true))
export const anyOf = (parts: readonly Expr[]): Expr =>
  parts.length > MANY ? pl.anyHorizontal([...parts]) : (chained(parts, (a, b) => a.or(b)) ?? pl.lit(false))

/**
 * Polars takes seconds to look through some thousand operands that are one in the other, and its stack may not hold them; side by
 * side they take none. A few it takes apart, and looks at each where that spares the most.
 */
const MANY = 16
const chained = (parts: readonly Expr[], join: (a: Expr, b: Expr) => Expr): Expr | undefined =>
  parts.reduce<Expr | undefined>((all, part) => (all ? join(all, part) : part), undefined)

/** A comparison of any operand of a known type: a column, or a measure. */
export function operandExpr(
  operand: Expr,
  type: LogicalType,
  filter: Extract<Filter, { is: 'compare' | 'in' | 'null' }>,
): Expr {
  switch (filter.is) {
    case 'null':
      return filter.negated ? operand.isNotNull() : operand.isNull()
    case 'in': {
      // Of no values the answer is known, of a null too.
      if (filter.values.length === 0) return pl.lit(filter.negated)
      const fitted = filter.values.map(value => comparable(value, type)).filter(({ exact }) => exact)
      if (fitted.length === 0) return isNever(operand, filter.negated)
      const widest = fitted.find(each => each.type !== type)?.type ?? type
      const values = seriesOf(
        { name: '', type: widest },
        fitted.map(({ value }) => value),
      )
      // A literal of a series is one list, which every value is looked for in.
      const isIn = as(operand, type, widest).isIn(pl.lit(values))
      return filter.negated ? isIn.not() : isIn
    }
    case 'compare': {
      const { op } = filter
      if (op === 'like' || op === 'ilike') return likeExpr(operand, String(filter.value), op === 'ilike')
      const fitted = comparable(filter.value, type)
      if (!fitted.exact && (op === 'eq' || op === 'neq')) return isNever(operand, op === 'neq')
      const compare = COMPARE[fitted.exact ? op : ROUNDED_DOWN[op]]
      return compare(as(operand, type, fitted.type), literalOf(fitted.type, fitted.value))
    }
  }
}

type Ordering = 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte'
const COMPARE: Record<Ordering, (a: Expr, b: Expr) => Expr> = {
  eq: (a, b) => a.eq(b),
  neq: (a, b) => a.neq(b),
  gt: (a, b) => a.gt(b),
  gte: (a, b) => a.gtEq(b),
  lt: (a, b) => a.lt(b),
  lte: (a, b) => a.ltEq(b),
}
/** `x < 1.23456` is `x <= 1.2345` where x has four places. */
const ROUNDED_DOWN: Record<Ordering, Ordering> = { eq: 'eq', neq: 'neq', gt: 'gt', gte: 'gt', lt: 'lte', lte: 'lte' }

const as = (operand: Expr, type: LogicalType, wanted: LogicalType): Expr =>
  type === wanted ? operand : operand.cast(polarsType(wanted))

/** What no value of the operand can equal: false (or its opposite), and null where the operand is. */
const isNever = (operand: Expr, negated: boolean): Expr => (negated ? operand.eq(operand) : operand.neq(operand))
