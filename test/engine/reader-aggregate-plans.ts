import fc from 'fast-check'
import type { AggregateOrder, AggregatePlan, Filter, Group, Measure } from '../../src/engine/plan.ts'
import type { Column, Table } from '../../src/kinds/kind.ts'
import { direction, filterOn, nulls, ORDERED } from './reader-plans.ts'

const groupOf = ({ name, type }: Column): fc.Arbitrary<Group> => {
  if (type !== 'DATE' && type !== 'TIMESTAMP') return fc.constant({ column: name })
  return fc.oneof(
    fc.constant({ column: name }),
    fc
      .constantFrom('DAY' as const, 'WEEK' as const, 'MONTH' as const, 'QUARTER' as const, 'YEAR' as const)
      .map(bucket => ({ column: name, bucket })),
  )
}

/** The means of decimals are left out: a double of the engine and one of the test may differ in the last bit. */
function measuresOf({ name: column, type }: Column): Measure[] {
  const all: Measure[] = [
    { is: 'min', column },
    { is: 'max', column },
    { is: 'countDistinct', column },
  ]
  const isNumber = !['VARCHAR', 'BOOLEAN', 'DATE', 'TIMESTAMP'].includes(type)
  if (isNumber) all.push({ is: 'sum', column })
  if (type === 'INTEGER' || type === 'DOUBLE') all.push({ is: 'avg', column })
  return all
}

const isNumeric = (table: Table, measure: Measure) =>
  measure.is === 'count' ||
  measure.is === 'countDistinct' ||
  !['VARCHAR', 'BOOLEAN', 'DATE', 'TIMESTAMP', 'DOUBLE'].includes(table.columns.get(measure.column)?.type ?? '')

const decimals = fc.constantFrom('0', '1', '1.5', '2.00', '-3.00005', '123456789012345678901234.5')
const havingFilter: fc.Arbitrary<Filter> = fc.oneof(
  fc
    .tuple(fc.constantFrom(...ORDERED), decimals)
    .map(([op, value]): Filter => ({ is: 'compare', column: 'is', op, value })),
  fc
    .tuple(fc.array(decimals, { maxLength: 3 }), fc.boolean())
    .map(([values, negated]): Filter => ({ is: 'in', column: 'is', values, negated })),
  fc.boolean().map((negated): Filter => ({ is: 'null', column: 'is', negated })),
)

/** Means are doubles, and so is what they are compared with. */
function withNumbers(filter: Filter): Filter {
  const number = (value: unknown) => Math.min(Number(value), 1e9)
  switch (filter.is) {
    case 'and':
    case 'or':
      return { ...filter, of: filter.of.map(withNumbers) }
    case 'not':
      return { ...filter, of: withNumbers(filter.of) }
    case 'compare':
      return { ...filter, value: number(filter.value) }
    case 'in':
      return { ...filter, values: filter.values.map(number) }
    default:
      return filter
  }
}

/** Aggregates over the table without `after`, in pages of some size. */
export function aggregateOf(table: Table): fc.Arbitrary<AggregatePlan> {
  const measures: Measure[] = [{ is: 'count' }, ...[...table.columns.values()].flatMap(measuresOf)]
  const measure = fc.constantFrom(...measures)
  const having = fc
    .record({
      measure: fc.constantFrom(...measures.filter(each => isNumeric(table, each))),
      filter: fc.oneof(
        havingFilter,
        havingFilter.map((of): Filter => ({ is: 'not', of })),
        fc.array(havingFilter, { maxLength: 2 }).map((of): Filter => ({ is: 'or', of })),
      ),
    })
    .map(({ measure, filter }) => ({ measure, filter: measure.is === 'avg' ? withNumbers(filter) : filter }))
  return fc
    .record({
      where: filterOn(table, 1),
      groups: fc
        .shuffledSubarray([...table.columns.values()], { maxLength: 2 })
        .chain(columns => fc.tuple(...columns.map(groupOf)) as fc.Arbitrary<Group[]>),
      measures: fc.array(measure, { maxLength: 5 }),
      having: fc.array(having, { maxLength: 1 }),
      orders: fc.array(fc.record({ by: measure, direction, nulls }), { maxLength: 2 }),
      groupOrder: fc.record({ direction, nulls }),
      limit: fc.integer({ min: 1, max: 6 }),
    })
    .map(({ orders, groupOrder, ...plan }) => ({
      ...plan,
      table: table.name,
      orderBy: [
        ...orders,
        ...plan.groups.map((_, index): AggregateOrder => ({ by: { is: 'group', index }, ...groupOrder })),
      ],
    }))
}
