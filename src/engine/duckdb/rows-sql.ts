import type { Table } from '../../kinds/kind.ts'
import type { Value } from '../../kinds/types.ts'
import type { Filter, Order, RowsPlan } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { behind, type OrderKey, orderByText, reversed } from './keyset.ts'
import { quoted } from './sql.ts'
import type { Scope, Statement } from './statement.ts'
import { compileFilter, ParameterSink } from './where-sql.ts'

/** A page of rows, in order: the plan's columns and those of its order. */
export function compileRows({ kind, names }: Scope, plan: RowsPlan): Statement {
  const table = tableOf(kind, plan.table)
  const params = new ParameterSink()
  const order = plan.orderBy.map(by => orderKey(table, by))
  const conditions = [compileFilter(table, kind, plan.where, names, params)]
  if (plan.after) conditions.push(behind(order, plan.after, params))
  if (plan.before) conditions.push(behind(reversed(order), plan.before, params))
  const columns = new Set([...plan.columns, ...plan.orderBy.map(({ column }) => column)])
  const page =
    `SELECT ${[...columns].map(quoted).join(', ')} FROM ${names.table(table.name)} WHERE ${conditions.join(' AND ')}` +
    ` ORDER BY ${orderByText(plan.last ? reversed(order) : order)} LIMIT ${params.value(plan.limit, 'BIGINT')}`
  const text = plan.last ? `SELECT * FROM (${page}) ORDER BY ${orderByText(order)}` : page
  return { text, params: params.params, most: plan.limit }
}

/** How many rows the filter selects, as `count`. */
export function compileCount({ kind, names }: Scope, tableName: string, where: Filter): Statement {
  const table = tableOf(kind, tableName)
  const params = new ParameterSink()
  const filter = compileFilter(table, kind, where, names, params)
  const text = `SELECT count(*) AS count FROM ${names.table(table.name)} WHERE ${filter}`
  return { text, params: params.params, most: 1 }
}

/** The rows that have one of the keys (at least one); nulls are equal, as in every key. */
export function compileByKeys(
  { kind, names }: Scope,
  tableName: string,
  columns: readonly string[],
  keyColumns: readonly string[],
  keys: readonly (readonly Value[])[],
): Statement {
  const table = tableOf(kind, tableName)
  const params = new ParameterSink()
  const selected = [...new Set([...columns, ...keyColumns])].map(name => `held.${quoted(name)}`)
  const compile = keys.length === 1 ? isKey : isAmongKeys
  const text = `SELECT ${selected.join(', ')} FROM ${names.table(table.name)} AS held ${compile(table, keyColumns, keys, params)}`
  return { text, params: params.params, most: keys.length }
}

/** Of a single key: plain comparisons, by which DuckDB leaves out whole row groups. */
function isKey(
  table: Table,
  keyColumns: readonly string[],
  [key = []]: readonly (readonly Value[])[],
  params: ParameterSink,
): string {
  const conditions = keyColumns.map((name, index) => {
    const value = key[index] ?? null
    const column = `held.${quoted(name)}`
    return value === null ? `${column} IS NULL` : `${column} = ${params.value(value, columnOf(table, name).type)}`
  })
  return `WHERE ${conditions.join(' AND ')}`
}

function isAmongKeys(
  table: Table,
  keyColumns: readonly string[],
  keys: readonly (readonly Value[])[],
  params: ParameterSink,
): string {
  const wanted = keyColumns.map((name, index) => {
    const { type } = columnOf(table, name)
    return `unnest(${params.list(
      keys.map(key => key[index] ?? null),
      type,
    )}) AS ${quoted(`key ${index}`)}`
  })
  const matches = keyColumns.map((name, index) => {
    // Only a plain = lets the join's keys prune the scan.
    const equals = columnOf(table, name).nullable ? 'IS NOT DISTINCT FROM' : '='
    return `held.${quoted(name)} ${equals} wanted.${quoted(`key ${index}`)}`
  })
  return `SEMI JOIN (SELECT ${wanted.join(', ')}) AS wanted ON ${matches.join(' AND ')}`
}

function orderKey(table: Table, { column, direction, nulls }: Order): OrderKey {
  const { type, nullable } = columnOf(table, column)
  return { operand: quoted(column), type, nullable, direction, nulls }
}
