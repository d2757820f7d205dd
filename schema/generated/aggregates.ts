import { names } from '../../src/kinds/kind.ts'
import { hasExtremes, type LogicalType, type Row, sumType } from '../../src/kinds/types.ts'
import type { Builder, InputRef, ObjectRef } from '../builder.ts'
import type { Enums } from '../enums.ts'
import type { Filters } from '../filters.ts'
import { addConnection, forward } from '../pages.ts'
import type { TableResolvers } from '../resolvers.ts'
import type { ColumnMeasure, GroupSource, Page, SnapshotSource } from '../shapes.ts'
import { type ColumnField, fieldOf, scalarOf, valueFields } from './columns.ts'
import { orderFields } from './row-inputs.ts'
import type { TableTypes } from './table-types.ts'

/** `SaleAggregate`, the inputs that go with it, and the snapshot's field `salesAggregate`. */
export function addAggregate(
  builder: Builder,
  snapshot: ObjectRef<SnapshotSource>,
  types: TableTypes,
  { enums, filters, resolvers }: { enums: Enums; filters: Filters; resolvers: TableResolvers },
): void {
  const { kind, table, where } = types
  const name = (suffix: string) => names.rowType(kind, table, suffix)
  const columns = [...table.columns.values()]
  const group = addGroup(builder, types, resolvers)

  /** An object of one measure's values; none where no column has such. */
  const measured = (suffix: string, description: string, typeOf: (type: LogicalType) => LogicalType | null) => {
    const fields = columns.flatMap((column): ColumnField[] => {
      const type = typeOf(column.type)
      return type ? [{ ...fieldOf(column, table.key), type: scalarOf(type), nullable: true }] : []
    })
    if (fields.length === 0) return null
    return builder.objectRef<Row>(name(suffix)).implement({
      description,
      fields: t => valueFields(t, fields, values => values),
    })
  }
  const sums = measured('Sums', 'Sums of columns.', sumType)
  const averages = measured('Averages', 'Means of columns.', type => (sumType(type) ? 'DOUBLE' : null))
  const extremes = measured('Extremes', 'Smallest or largest values.', type => (hasExtremes(type) ? type : null))
  const counts = measured('Counts', 'How many different values columns have.', () => 'BIGINT')

  const aggregate = builder.objectRef<GroupSource>(name('Aggregate')).implement({
    description: `A group of rows of ${table.name}, and what is measured of it.`,
    fields: t => {
      const measure = (is: ColumnMeasure, type: ObjectRef<Row> | null, description: string) =>
        type && { [is]: t.field({ type, nullable: true, description, resolve: ({ measures }) => measures[is] }) }
      return {
        group: t.field({ type: group, description: 'What the rows have in common.', resolve: of => of }),
        count: t.field({
          type: 'BigInt',
          description: 'How many rows.',
          resolve: ({ measures }) => String(measures.count),
        }),
        ...measure('sum', sums, 'Exact for decimals and integers; null over no rows.'),
        ...measure('avg', averages, 'Null over no rows.'),
        ...measure('min', extremes, 'The smallest values; null over no rows.'),
        ...measure('max', extremes, 'The largest values; null over no rows.'),
        ...measure('countDistinct', counts, 'How many different values, null not counted.'),
      }
    },
  })
  const connection = addConnection<Page<GroupSource>>(builder, aggregate, {
    name: name('Aggregate'),
    of: `Groups of rows of ${table.name}`,
    total: 'BigInt',
  })
  const inputs = addInputs(builder, types, enums, filters)

  builder.objectFields(snapshot, t => ({
    [names.aggregate(table)]: t.field({
      type: connection,
      nullable: true,
      description: `Measures of ${table.name}, group by group. Without groupBy one row over all that where selects.`,
      args: {
        where: t.arg({ type: where, description: 'Rows that are measured.' }),
        groupBy: t.arg({ type: [inputs.groupBy], description: 'One group for each combination of their values.' }),
        having: t.arg({ type: [inputs.having], description: 'Groups for which all of this holds.' }),
        orderBy: t.arg({ type: [inputs.order], description: 'By these, then by the groups as groupBy has them.' }),
        ...forward(t.arg),
      },
      resolve: (from, args, context, info) => resolvers.groups(from, table, args, context, info),
    }),
  }))
}

function addGroup(
  builder: Builder,
  { kind, table, to }: TableTypes,
  resolvers: TableResolvers,
): ObjectRef<GroupSource> {
  const columns = [...table.columns.values()].map(column => ({ ...fieldOf(column, table.key), nullable: true }))
  return builder.objectRef<GroupSource>(names.rowType(kind, table, 'Group')).implement({
    description: 'The columns grouped by; the others are null. A bucketed date is the first day of its bucket.',
    fields: t => ({
      ...valueFields(t, columns, ({ values }) => values),
      ...Object.fromEntries(
        table.references.map(reference => [
          reference.as,
          t.field({
            type: to(reference.table).row,
            nullable: true,
            description: `${reference.description ?? `The ${reference.as}.`} Null unless grouped by ${reference.columns.join(' and ')}.`,
            resolve: (of, _, context, info) =>
              of.whole.has(reference.as) ? resolvers.reference(of, reference, context, info) : null,
          }),
        ]),
      ),
    }),
  })
}

function addInputs(
  builder: Builder,
  { kind, table, column }: TableTypes,
  enums: Enums,
  filters: Filters,
): Record<'groupBy' | 'having' | 'order', InputRef> {
  const name = (suffix: string) => names.rowType(kind, table, suffix)
  return {
    groupBy: builder.inputType(name('GroupBy'), {
      description: 'A column to group by.',
      fields: t => ({
        column: t.field({ type: column, required: true, description: 'The column.' }),
        bucket: t.field({
          type: enums.bucket,
          description:
            'Groups the dates of the same stretch of time together; for dates alone, and weeks begin on Monday.',
        }),
      }),
    }),
    having: builder.inputType(name('Having'), {
      description: 'A condition on a measure of each group.',
      fields: t => ({
        measure: t.field({ type: enums.measure, required: true, description: 'The measure; not GROUP.' }),
        column: t.field({ type: column, description: 'Of what; COUNT takes none.' }),
        is: t.field({ type: filters.DECIMAL, required: true, description: 'What must hold for it.' }),
      }),
    }),
    order: builder.inputType(name('AggregateOrder'), {
      description:
        'A measure to order groups by. COUNT takes no column; every other measure takes one. GROUP orders by a column that is grouped by.',
      fields: t => ({
        measure: t.field({ type: enums.measure, required: true, description: 'The measure.' }),
        column: t.field({ type: column, description: 'Of what.' }),
        ...orderFields(t, enums),
      }),
    }),
  }
}
