import { names } from '../../src/kinds/kind.ts'
import type { Builder, InputRef, ObjectRef } from '../builder.ts'
import { addConnection, bothWays } from '../pages.ts'
import type { TableResolvers } from '../resolvers.ts'
import type { Page, RowSource, SnapshotSource } from '../shapes.ts'
import { describe, fieldOf, scalarOf, valueFields } from './columns.ts'
import type { TableTypes } from './table-types.ts'

/** `Sale` and its connection, and the snapshot's fields for one row by key and for pages of rows. */
export function addRows(
  builder: Builder,
  snapshot: ObjectRef<SnapshotSource>,
  types: TableTypes & { order: InputRef },
  resolvers: TableResolvers,
): void {
  const { kind, table, row, where, order, to } = types
  const columns = [...table.columns.values()].map(column => fieldOf(column, table.key))
  builder.objectType(row, {
    description: table.description,
    fields: t => ({
      ...valueFields(t, columns, ({ values }) => values),
      ...Object.fromEntries(
        table.references.map(reference => [
          reference.as,
          t.field({
            type: to(reference.table).row,
            nullable: true,
            description: `${reference.description ?? `The ${reference.as}.`} Null where there is none.`,
            resolve: (from, _, context, info) => resolvers.reference(from, reference, context, info),
          }),
        ]),
      ),
    }),
  })
  const connection = addConnection<Page<RowSource>>(builder, row, {
    name: names.rowType(kind, table),
    of: `Rows of ${table.name}`,
    total: 'BigInt',
  })

  builder.objectFields(snapshot, t => ({
    [names.byKey(table)]: t.field({
      type: row,
      nullable: true,
      description: `The row of ${table.name} with this key; null where there is none.`,
      args: Object.fromEntries(
        table.key.flatMap(name => {
          const column = table.columns.get(name)
          if (!column) return []
          const options = { type: scalarOf(column.type), required: !column.nullable, description: describe(column) }
          return [[name, t.arg(options)]]
        }),
      ),
      resolve: (from, key, context, info) => resolvers.row(from, table, key, context, info),
    }),
    [table.name]: t.field({
      type: connection,
      nullable: true,
      description: `${table.description} In the order of orderBy, then of the key.`,
      args: {
        where: t.arg({ type: where, description: 'Those alone.' }),
        orderBy: t.arg({ type: [order], description: 'By these columns, the first before the second.' }),
        ...bothWays(t.arg),
      },
      resolve: (from, args, context, info) => resolvers.rows(from, table, args, context, info),
    }),
  }))
}
