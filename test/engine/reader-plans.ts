import fc from 'fast-check'
import type { CompareOperator, Filter, Order, RowsPlan } from '../../src/engine/plan.ts'
import type { Column, Kind, Table } from '../../src/kinds/kind.ts'
import { decimalOf, type LogicalType, type Row, typeName, type Value } from '../../src/kinds/types.ts'
import { LONGER } from '../support/longer.ts'
import type { TableRowsByName } from './reader-model.ts'
import { orchard } from './reader-model.ts'

type Present = Exclude<Value, null>

/** So many runs of an engine, since all have the same to answer; and an end to shrinking before the test's own time is up, so that the seed is told. */
export const runs = (numRuns: number) => ({
  numRuns: Math.ceil(numRuns * LONGER),
  interruptAfterTimeLimit: 40_000 * LONGER,
})

/** Small domains, so that values meet, with the ends of every type among them. */
const VALUES: Record<string, fc.Arbitrary<Present>> = {
  VARCHAR: fc.oneof(
    // é as one character and as two, a family that is one emoji of five, and two whose order UTF-16 turns round.
    fc.constantFrom('', 'a', 'A', 'b', 'ab', '\uFFFD', '\u{1F600}', "o'x", '\u00E9', 'e\u0301', '👩\u200D👧', 'ﬁ'),
    fc.string({ unit: fc.constantFrom(...'aAbBéÉzωΩ%_\\\'"\n 0', '\u0301'), maxLength: 4 }),
  ),
  INTEGER: fc.oneof(fc.integer({ min: -2, max: 3 }), fc.constantFrom(-2147483648, 2147483647)),
  BIGINT: fc.constantFrom('-9223372036854775808', '-7', '0', '1', '2', '9007199254740993', '9223372036854775807'),
  'DECIMAL(18,4)': fc.oneof(
    fc.integer({ min: -20_000, max: 20_000 }).map(n => (n / 10_000).toFixed(4)),
    fc.constantFrom('99999999999999.9999', '-99999999999999.9999', '0.0001', '1.0000', '1.0000'),
  ),
  'DECIMAL(38,10)': fc.constantFrom(
    '0.0000000000',
    '0.0000000001',
    '-12345678901234567890123456.7890123456',
    '99999999999999999999999999.9999999999',
    '2.5000000000',
  ),
  // Quarters: their sums are exact in whatever order.
  DOUBLE: fc.integer({ min: -8, max: 8 }).map(n => n / 4 + 0),
  BOOLEAN: fc.boolean(),
  DATE: fc.oneof(
    fc.constantFrom('0001-01-01', '2023-12-31', '2024-01-01', '2024-02-29', '9999-12-31'),
    fc.integer({ min: 0, max: 60 }).map(n => new Date(Date.UTC(2023, 11, 1 + n)).toISOString().slice(0, 10)),
  ),
  TIMESTAMP: fc.constantFrom(
    '0001-01-01T00:00:00.000000Z',
    '2024-01-01T00:00:00.000000Z',
    '2023-12-31T23:59:59.999999Z',
    '2024-02-29T12:30:00.000001Z',
    '9999-12-31T23:59:59.999999Z',
  ),
}

/** What comparisons are made with: of decimals also those that the column cannot hold. */
function operandOf(type: LogicalType): fc.Arbitrary<Present> {
  const values = VALUES[type]
  if (!values) throw new Error(type)
  // Whole numbers that no integer type holds among them.
  if (type === 'DOUBLE') return fc.oneof(values, fc.constantFrom(3e9, 2 ** 53, -(2 ** 63), 1e23, -1e300, 5e-324))
  if (!decimalOf(type)) return values
  return fc.oneof(
    values,
    fc.constantFrom('1.00005', '-0.00001', '123456789012345678901234.5', '-99999999999999999999', '7'),
  )
}

const cellOf = ({ type, nullable }: Column): fc.Arbitrary<Value> => {
  const values = VALUES[type]
  if (!values) throw new Error(type)
  return nullable ? fc.option(values, { freq: 4 }) : values
}

/** Rows of a table, no key twice. */
export function rowsOf(table: Table, maxLength: number): fc.Arbitrary<Row[]> {
  const row = fc.record(
    Object.fromEntries([...table.columns.values()].map(column => [column.name, cellOf(column)])),
  ) as fc.Arbitrary<Row>
  return fc.uniqueArray(row, { maxLength, selector: each => JSON.stringify(table.key.map(name => each[name])) })
}

/** Rows of every table of the kind. */
export const contents = (kind: Kind, maxLength = 25): fc.Arbitrary<TableRowsByName> =>
  fc.record(Object.fromEntries([...kind.tables.values()].map(table => [table.name, rowsOf(table, maxLength)])))

export const tableOf = (name: string): Table => {
  const table = orchard.tables.get(name)
  if (!table) throw new Error(name)
  return table
}

export const ORDERED: readonly CompareOperator[] = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte']

/** A condition on one column: every operator that its type has. */
export function conditionOn(column: string, type: LogicalType): fc.Arbitrary<Filter> {
  const operand = operandOf(type)
  const isNull = fc.boolean().map((negated): Filter => ({ is: 'null', column, negated }))
  const compare = fc
    .tuple(fc.constantFrom(...ORDERED), operand)
    .map(([op, value]): Filter => ({ is: 'compare', column, op, value }))
  const list = fc
    .tuple(fc.array(operand, { maxLength: 4 }), fc.boolean())
    .map(([values, negated]): Filter => ({ is: 'in', column, values, negated }))
  const pattern = fc
    .tuple(
      fc.constantFrom<CompareOperator>('like', 'ilike'),
      fc.string({
        unit: fc.constantFrom('a', 'B', 'é', '\u0301', '%', '_', '\\%', '\\_', '\\\\', '\u{1F600}', '\n'),
        maxLength: 4,
      }),
    )
    .map(([op, value]): Filter => ({ is: 'compare', column, op, value }))
  return fc.oneof(compare, list, isNull, ...(typeName(type) === 'VARCHAR' ? [pattern] : []))
}

/** Filters with and, or, not, and through references, some levels deep. */
export function filterOn(table: Table, depth = 2): fc.Arbitrary<Filter> {
  const conditions = [...table.columns.values()].map(({ name, type }) => conditionOn(name, type))
  if (depth === 0) return fc.oneof(...conditions)
  const inner = filterOn(table, depth - 1)
  const through = table.references.map(({ as, table: target }) =>
    filterOn(tableOf(target), depth - 1).map((of): Filter => ({ is: 'through', as, of })),
  )
  return fc.oneof(
    fc.oneof(...conditions),
    fc
      .tuple(fc.constantFrom('and' as const, 'or' as const), fc.array(inner, { maxLength: 3 }))
      .map(([is, of]): Filter => ({ is, of })),
    inner.map((of): Filter => ({ is: 'not', of })),
    ...through,
    fc.constant<Filter>({ is: 'and', of: [] }),
  )
}

export const direction = fc.constantFrom('ASC' as const, 'DESC' as const)
export const nulls = fc.constantFrom('FIRST' as const, 'LAST' as const)

/** Some columns in some order, completed with the key. */
export const orderOf = (table: Table): fc.Arbitrary<Order[]> =>
  fc
    .shuffledSubarray([...table.columns.keys()], { maxLength: 3 })
    .chain(columns =>
      fc
        .tuple(...columns.map(column => fc.record({ column: fc.constant(column), direction, nulls })))
        .map(orders => [
          ...orders,
          ...table.key
            .filter(name => !columns.includes(name))
            .map((column): Order => ({ column, direction: 'ASC', nulls: 'LAST' })),
        ]),
    )

/** Pages of a table, from either end. */
export const pageOf = (table: Table): fc.Arbitrary<RowsPlan> =>
  fc.record({
    table: fc.constant(table.name),
    where: filterOn(table),
    orderBy: orderOf(table),
    columns: fc.subarray([...table.columns.keys()]),
    limit: fc.integer({ min: 1, max: 9 }),
    last: fc.boolean(),
  })
