import { names } from '../../src/kinds/kind.ts'
import { typeName } from '../../src/kinds/types.ts'
import type { Builder, InputFields, InputRef } from '../builder.ts'
import type { Enums } from '../enums.ts'
import type { Filters } from '../filters.ts'
import { describe } from './columns.ts'
import type { TableTypes } from './table-types.ts'

/** `SaleWhere`: conditions on the columns, through the references, and combined. */
export function addWhere(builder: Builder, filters: Filters, { table, where, to }: TableTypes): void {
  builder.inputType(where, {
    description: `Which rows of ${table.name}; all conditions must hold.`,
    fields: t => ({
      and: t.field({ type: [where], description: 'All of them.' }),
      or: t.field({ type: [where], description: 'At least one of them; an empty list selects nothing.' }),
      not: t.field({ type: where, description: 'Rows for which this is false.' }),
      ...Object.fromEntries(
        [...table.columns.values()].map(column => [
          column.name,
          t.field({ type: filters[typeName(column.type)], description: describe(column, table.key) }),
        ]),
      ),
      ...Object.fromEntries(
        table.references.map(reference => [
          reference.as,
          t.field({ type: to(reference.table).where, description: `Rows whose ${reference.as} this selects.` }),
        ]),
      ),
    }),
  })
}

/** `SaleOrder`. */
export function addOrder(builder: Builder, enums: Enums, { kind, table, column }: TableTypes): InputRef {
  return builder.inputType(names.rowType(kind, table, 'Order'), {
    description: `A column of ${table.name} to order by.`,
    fields: t => ({
      column: t.field({ type: column, required: true, description: 'The column.' }),
      ...orderFields(t, enums),
    }),
  })
}

/** Which way, and where the nulls go. */
export const orderFields = (t: InputFields, enums: Enums) => ({
  direction: t.field({ type: enums.direction, defaultValue: 'ASC', description: 'Which way.' }),
  nulls: t.field({ type: enums.nulls, defaultValue: 'LAST', description: 'Where nulls go, whichever way.' }),
})
