import { names } from '../../src/kinds/kind.ts'
import type { Builder, ObjectRef } from '../builder.ts'
import type { Enums } from '../enums.ts'
import { addConnection, forward } from '../pages.ts'
import type { TableResolvers } from '../resolvers.ts'
import type { DiffSource, Page, SnapshotSource } from '../shapes.ts'
import type { TableTypes } from './table-types.ts'

/** `SaleDiff` and the snapshot's field `salesDiff`. */
export function addDiff(
  builder: Builder,
  enums: Enums,
  snapshot: ObjectRef<SnapshotSource>,
  { kind, table, row, where }: TableTypes,
  resolvers: TableResolvers,
): void {
  const diff = builder.objectRef<DiffSource>(names.rowType(kind, table, 'Diff')).implement({
    description: `What became of a row of ${table.name}.`,
    fields: t => ({
      change: t.expose('change', { type: enums.diffChange, description: 'What became of it.' }),
      before: t.field({
        type: row,
        nullable: true,
        description: 'As it was in the older version; null where it was not there.',
        resolve: ({ before }) => before,
      }),
      after: t.field({
        type: row,
        nullable: true,
        description: 'As it is in this version; null where it is not there.',
        resolve: ({ after }) => after,
      }),
    }),
  })
  const connection = addConnection<Page<DiffSource>>(builder, diff, {
    name: names.rowType(kind, table, 'Diff'),
    of: `What changed in ${table.name}`,
  })
  builder.objectField(snapshot, names.diff(table), t =>
    t.field({
      type: connection,
      nullable: true,
      description: 'What changed from an older version to this one, by key.',
      args: {
        from: t.arg({ type: 'SnapshotAt', required: true, description: 'The older version.' }),
        where: t.arg({ type: where, description: 'Rows that this selects, as they were or as they are.' }),
        ...forward(t.arg),
      },
      resolve: (to, args, context, info) => resolvers.diff(to, table, args, context, info),
    }),
  )
}
