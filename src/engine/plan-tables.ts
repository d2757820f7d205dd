import type { Column, Kind, Table } from '../kinds/kind.ts'

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
