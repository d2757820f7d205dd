import { describe, expect, test } from 'vitest'
import { arg } from '../../src/kinds/arguments.ts'
import { checkKind, checkKinds, shapeDifference } from '../../src/kinds/check.ts'
import { countItems, itemsTable, shop, usage } from '../support/kinds-of.ts'

const kinds = (...definitions: unknown[]) => checkKinds(definitions.map(checkKind))

describe('checkKinds', () => {
  test('takes kinds with the same tables where a prefix tells them apart', () => {
    kinds(shop(), shop({ name: 'store' }), shop({ name: 'market', prefix: '' }))
  })

  test.each<[string, unknown[], RegExp]>([
    ['a kind twice', [shop(), shop()], /^kind shop: the name shop is taken by another kind$/],
    [
      'types without prefixes',
      [shop({ prefix: '' }), shop({ name: 'store', prefix: '' })],
      /^kind store, table items: the name Item is taken by kind shop, table items$/,
    ],
    [
      'a prefix twice',
      [shop({ prefix: 'Both' }), shop({ name: 'store', prefix: 'both' })],
      /the name BothItem is taken by kind shop, table items/,
    ],
    [
      'mutations',
      [
        shop({ prefix: '', functions: { labCount: countItems() } }),
        shop({ name: 'lab', functions: { count: countItems() } }),
      ],
      /^kind lab, function count: the name labCount is taken by kind shop, function labCount$/,
    ],
    [
      'the type of a model',
      [shop(), shop({ name: 'store', prefix: '' }, { models: itemsTable({ row: 'ShopModel' }) })],
      /^kind store, table models: the name ShopModel is taken by kind shop, the kind itself$/,
    ],
    [
      'a kind to run on',
      [shop({ functions: { count: countItems({ runsOn: 'sales' }) } })],
      /^kind shop, functions\.count\.runsOn: there is no kind sales$/,
    ],
    [
      'a kind to read',
      [shop({ functions: { count: countItems({ arguments: { from: arg.model('sales') } }) } })],
      /^kind shop, functions\.count\.arguments\.from: there is no kind sales$/,
    ],
  ])('refuses %s', (_, definitions, line) => {
    expect(usage(() => kinds(...definitions))).toMatch(line)
  })
})

describe('shapeDifference', () => {
  const shape = (items: Record<string, unknown> = itemsTable(), tables = {}) =>
    checkKind(shop({}, { items, ...tables })).shape

  test('of the same kind is none, also after a journey through JSON and with columns in another order', () => {
    const columns = { weight: 'DOUBLE?', shelf: 'INTEGER', aisle: 'VARCHAR?', itemId: 'VARCHAR' }
    const none = { additive: [], breaking: [] }
    expect(shapeDifference(JSON.parse(JSON.stringify(shape())), shape(itemsTable({ columns })))).toEqual(none)
  })

  test('takes up new tables and new nullable columns', () => {
    const now = shape(itemsTable({}, { size: 'VARCHAR?' }), { rooms: itemsTable({ row: 'Room' }) })
    expect(shapeDifference(shape(), now)).toEqual({
      additive: [
        { is: 'column', table: 'items', column: 'size' },
        { is: 'table', table: 'rooms' },
      ],
      breaking: [],
    })
  })

  test('everything else breaks, and says what', () => {
    const columns = { itemId: 'VARCHAR', aisle: 'VARCHAR', shelf: 'INTEGER', size: 'VARCHAR', Weight: 'DOUBLE?' }
    const now = shape(itemsTable({ columns, key: ['itemId', 'shelf'] }))
    expect(shapeDifference(shape(itemsTable(), { rooms: itemsTable({ row: 'Room' }) }), now)).toEqual({
      additive: [{ is: 'column', table: 'items', column: 'Weight' }],
      breaking: [
        'table rooms is gone',
        'column items.aisle was VARCHAR? and is VARCHAR',
        'column items.size is new and must be nullable, VARCHAR?',
        'column items.weight is gone',
        'the key of items was itemId and is itemId, shelf',
      ],
    })
  })
})
