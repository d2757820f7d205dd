import { type Kind, names, type Table } from '../../src/kinds/kind.ts'
import type { Builder, InputRef, ObjectRef, Types } from '../builder.ts'
import type { RowSource } from '../shapes.ts'
import { describe } from './columns.ts'

/** The types of a table that others refer to, made before any of their fields. */
export interface TableTypes {
  readonly kind: Kind
  readonly table: Table
  readonly row: ObjectRef<RowSource>
  readonly where: InputRef
  readonly column: PothosSchemaTypes.EnumRef<Types, string>
  /** Those of the table that a reference leads to. */
  to(table: string): TableTypes
}

/** For each table of the kind, by name. */
export function tableTypes(builder: Builder, kind: Kind): ReadonlyMap<string, TableTypes> {
  const types = new Map<string, TableTypes>()
  const to = (table: string): TableTypes => {
    const found = types.get(table)
    if (!found) throw new Error(`kind ${kind.name} has no table ${table}`)
    return found
  }
  for (const table of kind.tables.values()) {
    const columns = [...table.columns.values()]
    types.set(table.name, {
      kind,
      table,
      row: builder.objectRef(names.rowType(kind, table)),
      where: builder.inputRef(names.rowType(kind, table, 'Where')),
      column: builder.enumType(names.rowType(kind, table, 'Column'), {
        description: `The columns of ${table.name}.`,
        values: Object.fromEntries(columns.map(column => [column.name, { description: describe(column, table.key) }])),
      }),
      to,
    })
  }
  return types
}
