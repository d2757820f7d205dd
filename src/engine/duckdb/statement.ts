import type { Parameters } from '../../kinds/context.ts'
import type { Column, Kind, Table } from '../../kinds/kind.ts'
import type { TableNames } from './where-sql.ts'

/** A statement as a plan compiles to it: the same plan gives the same text, with its values in `params`. */
export interface Statement {
  text: string
  params: Parameters
  /** So many rows come of it at most, where that is known. */
  most?: number
}

/** What a plan is compiled against: the kind, and how its tables are called in the snapshot. */
export interface Scope {
  kind: Kind
  names: TableNames
}

/** The kind's table; plans only ever name tables that were looked up before. */
export function tableOf(kind: Kind, name: string): Table {
  const table = kind.tables.get(name)
  if (!table) throw new Error(`kind ${kind.name} has no table ${name}`)
  return table
}

/** The table's column; as above. */
export function columnOf(table: Table, name: string): Column {
  const column = table.columns.get(name)
  if (!column) throw new Error(`table ${table.name} has no column ${name}`)
  return column
}
