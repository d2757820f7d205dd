import type { Column } from '../../kinds/kind.ts'
import { sideColumn } from '../diff-rows.ts'
import type { DiffPlan } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { type RowRange, rowsIn } from './changed-rows.ts'
import { behind, type OrderKey, orderByText } from './keyset.ts'
import { quoted } from './sql.ts'
import type { Scope, Statement } from './statement.ts'
import { compileFilter, ParameterSink, type TableNames } from './where-sql.ts'

/**
 * A page of changes, with the columns that diffReader reads: both versions' rows side by side, joined by the key. Only
 * rows behind `after` go into the join, so that the pages get cheaper towards the end; and only those of `ranges`, where
 * it is known that others are the same in both. A key has one row in a version, so that what such a row is joined with
 * lies there too.
 */
export function compileDiff(
  { kind, names }: Scope,
  older: TableNames,
  plan: DiffPlan,
  ranges: readonly RowRange[] | null,
): Statement {
  const table = tableOf(kind, plan.table)
  const params = new ParameterSink()
  const key = table.key.map(name => columnOf(table, name))
  const side = (tables: TableNames) => {
    const conditions = plan.after ? ` WHERE ${behind(key.map(orderKey), plan.after, params)}` : ''
    const selected = compileFilter(table, kind, plan.where, tables, params)
    const rows = rowsIn(tables.table(table.name), ranges)
    return `(SELECT *, TRUE AS "is there", ${selected} AS "is selected" FROM ${rows}${conditions})`
  }
  const joined = key.map(({ name, nullable }) => {
    const equals = nullable ? 'IS NOT DISTINCT FROM' : '='
    return `older.${quoted(name)} ${equals} newer.${quoted(name)}`
  })
  const changed = [...table.columns.keys()]
    .filter(name => !table.key.includes(name))
    .map(name => `older.${quoted(name)} IS DISTINCT FROM newer.${quoted(name)}`)
  const differs = ['older."is there" IS NULL', 'newer."is there" IS NULL', ...changed].join(' OR ')
  const columns = [...new Set([...plan.columns, ...table.key])]
  const selected = (['older', 'newer'] as const).flatMap(of =>
    ['is there', ...columns].map(name => `${of}.${quoted(name)} AS ${quoted(sideColumn(of, name))}`),
  )
  const order = table.key.map((name, index) => ({
    ...orderKey(key[index] ?? columnOf(table, name)),
    operand: `coalesce(newer.${quoted(name)}, older.${quoted(name)})`,
  }))
  const text =
    `SELECT ${selected.join(', ')} FROM ${side(older)} AS older FULL JOIN ${side(names)} AS newer` +
    ` ON ${joined.join(' AND ')} WHERE (older."is selected" OR newer."is selected") AND (${differs})` +
    ` ORDER BY ${orderByText(order)} LIMIT ${params.value(plan.limit, 'BIGINT')}`
  return { text, params: params.params }
}

const orderKey = ({ name, type, nullable }: Column): OrderKey => ({
  operand: quoted(name),
  type,
  nullable,
  direction: 'ASC',
  nulls: 'LAST',
})
