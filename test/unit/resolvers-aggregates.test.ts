import { expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import { groupsOf, havingOf, ordersOf } from '../../src/resolvers/aggregate-arguments.ts'
import { completeOrder } from '../../src/resolvers/rows.ts'
import lab from '../support/kinds/lab.ts'

const found = checkKind(lab).tables.get('readings')
if (!found) throw new Error('the lab has no readings')
const table = found
const refused = (path: string) => expect.objectContaining({ code: 'BAD_VALUE', details: { path } })

test('an order ends with the key, and with nothing twice', () => {
  const orders = completeOrder(table, [
    { column: 'amount', direction: 'DESC' },
    { column: 'assay', nulls: 'FIRST' },
    { column: 'amount', direction: 'ASC' },
  ])
  expect(orders.map(({ column, direction, nulls }) => `${column} ${direction} ${nulls}`)).toEqual([
    'amount DESC LAST',
    'assay ASC FIRST',
    'sampleId ASC LAST',
    'revision ASC LAST',
    'replicate ASC LAST',
  ])
})

test('an order of groups ends with every group', () => {
  const groups = groupsOf(table, [{ column: 'takenOn', bucket: 'MONTH' }, { column: 'assay' }])
  expect(
    ordersOf(table, groups, [
      { measure: 'SUM', column: 'amount', direction: 'DESC' },
      { measure: 'GROUP', column: 'assay' },
    ]),
  ).toEqual([
    { by: { is: 'sum', column: 'amount' }, direction: 'DESC', nulls: 'LAST' },
    { by: { is: 'group', index: 1 }, direction: 'ASC', nulls: 'LAST' },
    { by: { is: 'group', index: 0 }, direction: 'ASC', nulls: 'LAST' },
  ])
})

test('only dates have buckets, and a column is grouped by once', () => {
  expect(() => groupsOf(table, [{ column: 'assay', bucket: 'MONTH' }])).toThrow(refused('groupBy[0].bucket'))
  expect(() => groupsOf(table, [{ column: 'takenOn' }, { column: 'takenOn', bucket: 'YEAR' }])).toThrow(
    refused('groupBy[1]'),
  )
})

test.each([
  ['COUNT', 'amount', 'column'],
  ['SUM', null, 'column'],
  ['SUM', 'assay', 'column'],
  ['AVG', 'takenOn', 'column'],
  ['MIN', 'note', 'column'],
  ['MAX', 'valid', 'column'],
  ['GROUP', 'assay', 'measure'],
] as const)('%s of %s is no measure', (measure, column, field) => {
  expect(() => havingOf(table, [{ measure, column, is: { gt: '1' } }])).toThrow(refused(`having[0].${field}`))
})

test('an order by what is not grouped by is refused', () => {
  expect(() => ordersOf(table, [{ column: 'assay' }], [{ measure: 'GROUP', column: 'note' }])).toThrow(
    refused('orderBy[0].column'),
  )
})

test('a condition compares in the type of the measure', () => {
  const filter = (measure: 'COUNT' | 'SUM' | 'AVG', column: string | null, is: unknown) =>
    havingOf(table, [{ measure, column, is }])[0]?.filter
  expect(filter('COUNT', null, { gt: '1.5' })).toMatchObject({ op: 'gt', value: '1.5' })
  expect(filter('SUM', 'amount', { gte: '2' })).toMatchObject({ op: 'gte', value: '2.000000' })
  expect(filter('AVG', 'amount', { lt: '0.5' })).toMatchObject({ op: 'lt', value: 0.5 })
  expect(filter('AVG', 'amount', { in: ['1', '2.5'] })).toMatchObject({ values: [1, 2.5] })
})
