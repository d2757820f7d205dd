import type { Column, Kind, Table } from '../../kinds/kind.ts'
import type { LogicalType, Row } from '../../kinds/types.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { groupColumn, measureColumn, measuresOf, placeOf } from '../aggregate-rows.ts'
import { havingType, measureType } from '../measures.ts'
import type { AggregateOrder, AggregatePlan, Filter, Measure } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { polarsType } from './columns.ts'
import { behind, firstInOrder, type OrderKey } from './keyset.ts'
import { bucketExpr, isPast, measureExpr } from './measures.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'
import { type Asked, counted } from './rows.ts'
import { allOf, anyOf, type Frames, operandExpr, selected } from './where.ts'

/**
 * A page of groups, as aggregate-rows.ts has them. Without groups it has one row, also over no rows.
 * @param made the groups with their measures
 */
export function pageOfGroups(kind: Kind, plan: AggregatePlan, made: LazyDataFrame): Asked {
  const table = tableOf(kind, plan.table)
  const measures = measuresOf(plan)
  const order = plan.orderBy.map(by => orderKey(table, plan, measures, by))
  const groups = having(table, plan, made)
  const rest = plan.after ? groups.filter(behind(order, plan.after)) : groups
  const columns: Pick<Column, 'name' | 'type'>[] = [
    ...plan.groups.map(({ column }, index) => ({ name: groupColumn(index), type: columnOf(table, column).type })),
    ...measures.map((measure, index) => ({ name: measureColumn(index), type: measureType(table, measure) })),
    ...(measures.some(measure => isPast(table, measure)) ? [IS_PAST] : []),
  ]
  return { frame: firstInOrder(rest, order, plan.limit), columns, check: checkSums }
}

/** How many groups there are, as `count`. */
export function countOfGroups(kind: Kind, plan: AggregatePlan, made: LazyDataFrame): Asked {
  // Polars makes no rows of one row of which no column is asked for. The first measure is a count, which is never null.
  return counted(having(tableOf(kind, plan.table), plan, made), pl.col(measureColumn(0)).count())
}

/** What of the plan tells how many groups there are. */
export const planOfCount = (plan: AggregatePlan): AggregatePlan => ({ ...plan, measures: [], orderBy: [] })

/** Whether any group has a sum that is out of range: all are ordered, and may be selected, by it. */
const IS_PAST = { name: 'is past', type: 'BOOLEAN' } as const

function checkSums(row: Row): void {
  if (row[IS_PAST.name] === true)
    throw new TeatreeError('BAD_VALUE', 'a sum is out of range: it has more than 38 digits')
}

/** All groups with their measures, unordered. */
export function groupsOfRows(frames: Frames, plan: AggregatePlan): LazyDataFrame {
  const table = tableOf(frames.kind, plan.table)
  const measures = measuresOf(plan)
  const rows = selected(frames, table, frames.frame(table.name, { is: 'where', where: plan.where }), plan.where)
  const past = measures.flatMap(measure => isPast(table, measure) ?? [])
  const aggregates = [
    ...measures.map((measure, index) => measureExpr(table, measure).alias(measureColumn(index))),
    ...past.map((each, index) => each.alias(pastColumn(index))),
  ]
  const groups = grouped(rows, groupExprs(plan), aggregates)
  const anyPast = anyOf(past.map((_, index) => pl.col(pastColumn(index)).any()))
  return past.length === 0 ? groups : groups.withColumns(anyPast.alias(IS_PAST.name))
}

export const groupExprs = ({ groups }: AggregatePlan): Expr[] =>
  groups.map(({ column, bucket }, index) => {
    const value = pl.col(column)
    return (bucket ? bucketExpr(value, bucket) : value).alias(groupColumn(index))
  })

/** Aggregates by groups; of all rows, one row, where there are none. */
export const grouped = (rows: LazyDataFrame, by: readonly Expr[], aggregates: readonly Expr[]): LazyDataFrame =>
  by.length > 0 ? rows.groupBy([...by], false).agg(...aggregates) : rows.select(...aggregates)

/** The groups that `having` selects. */
function having(table: Table, plan: AggregatePlan, made: LazyDataFrame): LazyDataFrame {
  const measures = measuresOf(plan)
  const selects = plan.having.map(({ measure, filter }) => {
    const operand = pl.col(measureColumn(placeOf(measures, measure)))
    const [type, compared] = [measureType(table, measure), havingType(table, measure)]
    return compileHaving(type === compared ? operand : operand.cast(polarsType(compared)), compared, filter)
  })
  return selects.length === 0 ? made : made.filter(allOf(selects))
}

const pastColumn = (index: number) => `is past ${index}`

function orderKey(
  table: Table,
  plan: AggregatePlan,
  measures: readonly Measure[],
  { by, direction, nulls }: AggregateOrder,
): OrderKey {
  if (by.is !== 'group') {
    return { column: measureColumn(placeOf(measures, by)), type: measureType(table, by), direction, nulls }
  }
  const group = plan.groups[by.index]
  if (!group) throw new Error(`there is no group ${by.index} to order by`)
  return { column: groupColumn(by.index), type: columnOf(table, group.column).type, direction, nulls }
}

function compileHaving(operand: Expr, type: LogicalType, filter: Filter): Expr {
  switch (filter.is) {
    case 'and':
      return allOf(filter.of.map(part => compileHaving(operand, type, part)))
    case 'or':
      return anyOf(filter.of.map(part => compileHaving(operand, type, part)))
    case 'not':
      return compileHaving(operand, type, filter.of).not()
    case 'through':
      throw new Error('a measure has no references')
    default:
      return operandExpr(operand, type, filter)
  }
}
