import type { Column, Table } from '../../../kinds/kind.ts'
import { ALL, type TablePlan } from '../../plan.ts'
import { columnOf, type Scope, type Statement, tableOf } from '../statement.ts'
import { compileFilter, ParameterSink } from '../where-sql.ts'

/** The columns and rows of a table that the plan selects, in the order in which they are stored. */
export function compileTable({ kind, names }: Scope, plan: TablePlan, select: readonly string[]): Statement {
  const table = tableOf(kind, plan.table)
  const params = new ParameterSink()
  const where = compileFilter(table, kind, plan.where ?? ALL, names, params)
  return {
    text: `SELECT ${select.join(', ')} FROM ${names.table(table.name)} WHERE ${where}`,
    params: params.params,
  }
}

/** The plan's columns; all of the table's where it says none. */
export const columnsOf = (table: Table, plan: TablePlan): Column[] =>
  plan.columns ? plan.columns.map(name => columnOf(table, name)) : [...table.columns.values()]
