import { type Kind, names } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import type { Builder, ObjectRef } from '../builder.ts'
import { addConnection, forward } from '../pages.ts'
import type { TableResolvers } from '../resolvers.ts'
import type { QueryPage, SnapshotSource } from '../shapes.ts'
import type { ArgumentInputs } from './arguments.ts'
import { fieldOf, valueFields } from './columns.ts'

/** A field of the snapshot for each query function of the kind. */
export function addQueries(
  builder: Builder,
  kind: Kind,
  snapshot: ObjectRef<SnapshotSource>,
  { inputs, resolvers }: { inputs: ArgumentInputs; resolvers: TableResolvers },
): void {
  const connections = new Map<string, ObjectRef<QueryPage>>()
  for (const query of kind.queries.values()) {
    const name = names.type(kind, query.row.name)
    const connection =
      connections.get(name) ??
      addConnection<QueryPage>(
        builder,
        builder.objectRef<Row>(name).implement({
          description: query.row.description,
          fields: t =>
            valueFields(
              t,
              [...query.rowColumns.values()].map(column => fieldOf(column)),
              row => row,
            ),
        }),
        { name, of: query.row.description.replace(/\.$/, ''), total: 'BigInt' },
      )
    if (!connections.has(name)) {
      builder.objectFields(connection, t =>
        Object.fromEntries(
          [...query.pageColumns.values()].map(column => {
            const { type, nullable, description } = fieldOf(column)
            return [
              column.name,
              t.field({
                type,
                nullable,
                description,
                resolve: async page => (await page.page())[column.name] as NonNullable<Row[string]>,
              }),
            ]
          }),
        ),
      )
    }
    connections.set(name, connection)
    builder.objectField(snapshot, query.name, t =>
      t.field({
        type: connection,
        nullable: true,
        description: query.description,
        // It is the code of today that answers, also of a version of long ago.
        extensions: { changes: true },
        args: { ...inputs.arguments(t.arg, query.arguments), ...forward(t.arg) },
        resolve: (from, args, context, info) => resolvers.query(from, query, args, context, info),
      }),
    )
  }
}
