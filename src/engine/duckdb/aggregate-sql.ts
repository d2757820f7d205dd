import type { Table } from '../../kinds/kind.ts'
import { groupColumn, measureColumn, measuresOf, placeOf } from '../aggregate-rows.ts'
import { havingType, measureIsNullable, measureType } from '../measures.ts'
import type { AggregatePlan, Filter, Measure } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { bucketDay, bucketNumber } from './buckets.ts'
import { behind, type OrderKey, orderByText } from './keyset.ts'
import { measureSql } from './measures.ts'
import { quoted } from './sql.ts'
import type { Scope, Statement } from './statement.ts'
import { compileFilter, compileOperand, ParameterSink } from './where-sql.ts'

/** A page of groups, with the columns that aggregateReader reads. Without groups it has one row, also over no rows. */
export function compileAggregate(scope: Scope, plan: AggregatePlan): Statement {
  const params = new ParameterSink()
  const { text, measures } = compileGroups(scope, plan, params)
  const order = orderKeys(tableOf(scope.kind, plan.table), plan, measures)
  const where = plan.after ? ` WHERE ${behind(order, plan.after, params)}` : ''
  const orderBy = order.length > 0 ? ` ORDER BY ${orderByText(order)}` : ''
  const limit = params.value(plan.limit, 'BIGINT')
  return { text: `SELECT * FROM (${text})${where}${orderBy} LIMIT ${limit}`, params: params.params, most: plan.limit }
}

/** How many groups there are, as `count`. */
export function compileGroupCount(scope: Scope, plan: AggregatePlan): Statement {
  const params = new ParameterSink()
  const { text } = compileGroups(scope, { ...plan, measures: [], orderBy: [] }, params)
  return { text: `SELECT count(*) AS count FROM (${text})`, params: params.params, most: 1 }
}

/** All groups that `having` selects, with every measure that anything needs, unordered. */
function compileGroups({ kind, names }: Scope, plan: AggregatePlan, params: ParameterSink) {
  const table = tableOf(kind, plan.table)
  const measures = measuresOf(plan)
  const columns = [
    ...plan.groups.map(({ column, bucket }, index) => {
      const by = bucket ? bucketNumber(bucket, quoted(column)) : quoted(column)
      return `${by} AS ${quoted(groupColumn(index))}`
    }),
    ...measures.map((measure, index) => `${measureSql(table, measure)} AS ${quoted(measureColumn(index))}`),
  ]
  const groupBy = plan.groups.map((_, index) => index + 1).join(', ')
  const where = compileFilter(table, kind, plan.where, names, params)
  const grouped =
    `SELECT ${columns.join(', ')} FROM ${names.table(table.name)} WHERE ${where}` +
    (groupBy === '' ? '' : ` GROUP BY ${groupBy}`)
  const having = plan.having.map(({ measure, filter }) =>
    compileHaving(quoted(measureColumn(placeOf(measures, measure))), havingType(table, measure), filter, params),
  )
  const days = plan.groups.flatMap(({ column, bucket }, index) => {
    const name = quoted(groupColumn(index))
    return bucket ? [`CAST(${bucketDay(bucket, name)} AS ${columnOf(table, column).type}) AS ${name}`] : []
  })
  const all = days.length === 0 ? '*' : `* REPLACE (${days.join(', ')})`
  const condition = having.length === 0 ? '' : ` WHERE ${having.join(' AND ')}`
  return { text: all === '*' && condition === '' ? grouped : `SELECT ${all} FROM (${grouped})${condition}`, measures }
}

function orderKeys(table: Table, plan: AggregatePlan, measures: readonly Measure[]): OrderKey[] {
  return plan.orderBy.map(({ by, direction, nulls }) => {
    if (by.is !== 'group') {
      const operand = quoted(measureColumn(placeOf(measures, by)))
      return { operand, type: measureType(table, by), nullable: measureIsNullable(by), direction, nulls }
    }
    const group = plan.groups[by.index]
    if (!group) throw new Error(`there is no group ${by.index} to order by`)
    const { type, nullable } = columnOf(table, group.column)
    return { operand: quoted(groupColumn(by.index)), type, nullable, direction, nulls }
  })
}

function compileHaving(
  operand: string,
  type: ReturnType<typeof havingType>,
  filter: Filter,
  params: ParameterSink,
): string {
  switch (filter.is) {
    case 'and':
    case 'or': {
      if (filter.of.length === 0) return filter.is === 'and' ? '(TRUE)' : '(FALSE)'
      const parts = filter.of.map(part => compileHaving(operand, type, part, params))
      return `(${parts.join(filter.is === 'and' ? ' AND ' : ' OR ')})`
    }
    case 'not':
      return `(NOT ${compileHaving(operand, type, filter.of, params)})`
    case 'through':
      throw new Error('a measure has no references')
    default:
      return compileOperand(operand, type, filter, params)
  }
}
