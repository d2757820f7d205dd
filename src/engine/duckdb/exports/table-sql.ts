import type { Column, Table } from '../../../kinds/kind.ts'
import { ALL, type Filter, type TablePlan } from '../../plan.ts'
import { columnOf, tableOf } from '../../plan-tables.ts'
import type { Scope, Statement } from '../statement.ts'
import { compileFilter, ParameterSink } from '../where-sql.ts'

/**
 * The columns and rows of a table that the plan selects, in the order in which they are stored. DuckDB keeps to it but for
 * joins, which filters with lists and references become: there, rows that are numbered on their way to the join are read by
 * one thread, and so in order. What needs no join is selected before that, where whole row groups can be left out.
 */
export function compileTable({ kind, names }: Scope, plan: TablePlan, select: readonly string[]): Statement {
  const table = tableOf(kind, plan.table)
  const params = new ParameterSink()
  const where = (of: readonly Filter[]) => compileFilter(table, kind, { is: 'and', of }, names, params)
  const parts = plan.where?.is === 'and' ? plan.where.of : [plan.where ?? ALL]
  const [joining, plain] = [parts.filter(joins), parts.filter(part => !joins(part))]
  const rows = `${names.table(table.name)} WHERE ${where(plain)}`
  const from =
    joining.length === 0
      ? rows
      : `(SELECT *, row_number() OVER () AS "row number" FROM ${rows}) WHERE "row number" > 0 AND ${where(joining)}`
  return { text: `SELECT ${select.join(', ')} FROM ${from}`, params: params.params }
}

/** Whether DuckDB makes a join of the filter. */
function joins(filter: Filter): boolean {
  if (filter.is === 'and' || filter.is === 'or') return filter.of.some(joins)
  if (filter.is === 'not') return joins(filter.of)
  return filter.is === 'in' || filter.is === 'through'
}

/** The plan's columns; all of the table's where it says none. */
export const columnsOf = (table: Table, plan: TablePlan): Column[] =>
  plan.columns ? plan.columns.map(name => columnOf(table, name)) : [...table.columns.values()]
