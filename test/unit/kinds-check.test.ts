import { describe, expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import definition from '../support/kinds/lab.ts'
import { countItems, itemsTable, shop, usage } from '../support/kinds-of.ts'

describe('checkKind', () => {
  test('reads tables, columns, keys, references and ways of writing', () => {
    const kind = checkKind(shop({}, { items: itemsTable({}, { weight: { type: 'DOUBLE?', description: 'In kg.' } }) }))
    expect(kind).toMatchObject({ name: 'shop', description: 'A shop.', prefix: 'Shop', engines: ['DUCKDB'] })
    const items = kind.tables.get('items')
    expect(items).toMatchObject({ name: 'items', row: 'Item', key: ['itemId'] })
    expect([...(items?.columns.values() ?? [])]).toEqual([
      { name: 'itemId', type: 'VARCHAR', nullable: false, description: undefined },
      { name: 'aisle', type: 'VARCHAR', nullable: true, description: undefined },
      { name: 'shelf', type: 'INTEGER', nullable: false, description: undefined },
      { name: 'weight', type: 'DOUBLE', nullable: true, description: 'In kg.' },
    ])
    expect(items?.references).toEqual([{ columns: ['aisle', 'shelf'], table: 'shelves', as: 'place' }])
    expect([...(kind.tables.get('shelves')?.writes ?? [])]).toEqual(['append', 'update'])
    expect(kind.shape.shelves).toEqual({
      columns: { aisle: 'VARCHAR', number: 'INTEGER', free: 'BOOLEAN?' },
      key: ['aisle', 'number'],
    })
  })

  test('takes the lab, and gives its functions their time limits', () => {
    const lab = checkKind(definition)
    expect([...lab.functions.keys()]).toEqual(['recordDeliveries', 'flagReadings', 'runTrial', 'incubate'])
    expect(lab.functions.get('incubate')?.timeoutSeconds).toBe(2)
    expect(lab.functions.get('runTrial')).toMatchObject({ name: 'runTrial', timeoutSeconds: 900 })
    expect(lab.functions.get('runTrial')?.resultColumns.get('orders')).toMatchObject({ type: 'BIGINT', nullable: true })
    expect([...(lab.queries.get('outsideLimits')?.pageColumns.keys() ?? [])]).toEqual([
      'lowerLimit',
      'upperLimit',
      'readings',
    ])
    expect(lab.definition).toBe(definition)
  })

  test('the prefix is the name with a capital, another, or none', () => {
    expect(['plan', 'Plan', ''].map(prefix => checkKind(shop({ prefix })).prefix)).toEqual(['Plan', 'Plan', ''])
  })

  test.each<[string, unknown, RegExp]>([
    ['nothing', undefined, /^a kind: must be an object with a name/],
    ['no name', { tables: {} }, /^a kind: must be an object with a name/],
    ['a name that is no name', shop({ name: 'Shop 1' }), /^kind Shop 1, name: "Shop 1" is no name of the form/],
    ['too long a name', shop({ name: 'x'.repeat(49) }), /is longer than 48 characters$/],
    ['a key of its own making', shop({ colour: 'red' }), /^kind shop: .*colour/],
    ['no description', shop({ description: undefined }), /^kind shop, description: /],
    ['an engine that is not there', shop({ engines: ['ORACLE'] }), /^kind shop, engines\.0: /],
    ['no engine', shop({ engines: [] }), /^kind shop, engines: must name at least one engine/],
    ['an engine twice', shop({ engines: ['DUCKDB', 'DUCKDB'] }), /an engine is named twice/],
    ['no table', shop({ tables: {} }), /^kind shop, tables: a kind has at least one table/],
    ['a prefix that is no name', shop({ prefix: '1st' }), /^kind shop, prefix: /],
  ])('refuses %s', (_, broken, line) => {
    expect(usage(() => checkKind(broken))).toMatch(line)
  })
})

describe('a table', () => {
  const column = (name: string, type: unknown = 'VARCHAR') => itemsTable({}, { [name]: type })
  const reference = (changes: Record<string, unknown>) =>
    itemsTable({ references: [{ columns: ['aisle', 'shelf'], table: 'shelves', as: 'place', ...changes }] })

  test.each<[string, unknown, RegExp]>([
    [
      'a column called id',
      column('id'),
      /^kind shop, tables\.items\.columns\.id: the name id is taken by the platform/,
    ],
    ['a column called Id', column('Id'), /Id is taken by the platform, as id, which differs only by case/],
    ['a column called and', column('and'), /columns\.and: the name and is taken/],
    ['a column that is no enum value', column('true'), /columns\.true: the name true is taken/],
    ["a column that is DuckDB's", column('ROWID'), /the name ROWID is taken by the platform/],
    ['two underscores', column('a__b'), /columns\.a__b: "a__b" holds two underscores/],
    ['a name with a line in it', column('a\nb'), /^kind shop, tables\.items\.columns\.a b: "a\\nb" is no name/],
    [
      'columns that differ only by case',
      column('Weight'),
      /Weight is taken by column weight, as weight, which differs/,
    ],
    ['a type that is none', column('size', 'FLOAT'), /columns\.size: "FLOAT" is no logical type/],
    ['too wide a decimal', column('size', 'DECIMAL(39,2)?'), /"DECIMAL\(39,2\)\?" is no logical type/],
    ['a column that is a number', column('size', 1), /columns\.size: must be a type, or \{type, description\}/],
    ['no column', itemsTable({ columns: {} }), /tables\.items\.columns: there must be at least one column/],
    ['no key', itemsTable({ key: [] }), /tables\.items\.key: a table has a key of at least one column/],
    ['a key that is not there', itemsTable({ key: ['sku'] }), /key: there is no column sku/],
    ['a key twice', itemsTable({ key: ['itemId', 'itemId'] }), /key: a column is named twice/],
    ['a key of doubles', itemsTable({ key: ['weight'] }), /key: column weight is a DOUBLE/],
    ['a row in small letters', itemsTable({ row: 'item' }), /tables\.items\.row: "item" is no name of the form/],
    ['a way of writing that is none', itemsTable({ writes: ['drop'] }), /tables\.items\.writes\.0: /],
    ['a way of writing twice', itemsTable({ writes: ['append', 'append'] }), /a way of writing is named twice/],
    [
      'an update of nothing',
      itemsTable({
        key: ['itemId', 'aisle', 'shelf', 'w'],
        columns: { itemId: 'VARCHAR', aisle: 'VARCHAR', shelf: 'INTEGER', w: 'DATE' },
      }),
      /update needs a column outside the key/,
    ],
    ['a reference to no table', reference({ table: 'rooms' }), /references\.place: there is no table rooms/],
    ['a reference from no column', reference({ columns: ['aisle', 'no'] }), /references\.place: there is no column no/],
    [
      'a reference by part of a key',
      reference({ columns: ['aisle'] }),
      /1 columns cannot lead to the key of shelves, aisle, number/,
    ],
    [
      'a reference of another type',
      reference({ columns: ['shelf', 'aisle'] }),
      /column shelf is INTEGER and shelves\.aisle is VARCHAR/,
    ],
    ['a reference named like a column', reference({ as: 'Weight' }), /the name Weight is taken by column weight/],
    ['a reference named not', reference({ as: 'not' }), /the name not is taken by the platform/],
  ])('with %s stops the start', (_, items, line) => {
    const message = usage(() => checkKind(shop({}, { items })))
    expect(message).toMatch(line)
    expect(message).not.toContain('\n')
  })

  const other = (row = 'Other') => itemsTable({ row })
  test.each<[string, Record<string, unknown>, RegExp]>([
    [
      'like a field of every snapshot',
      { content: other() },
      /table content: the name content is taken by every snapshot/,
    ],
    [
      'whose row is like one',
      { others: other('Version') },
      /table others: the name version is taken by every snapshot/,
    ],
    [
      'like another but for case',
      { Items: other() },
      /tables\.Items: the name Items is taken by table items, as items/,
    ],
    ['like its own row', { other: other() }, /table other: the name other is taken by table other/],
    [
      "like another's aggregate",
      { itemsAggregate: other() },
      /itemsAggregate: the name itemsAggregate is taken by table items/,
    ],
    ["whose row is another's", { others: other('Item') }, /the name item is taken by table items/],
    [
      "whose type is another's",
      { others: other('ItemOrder') },
      /table others: the name ShopItemOrder is taken by kind shop, table items/,
    ],
  ])('%s stops the start', (_, tables, line) => {
    expect(usage(() => checkKind(shop({}, tables)))).toMatch(line)
  })

  test("without a prefix it must not take a type of the platform's", () => {
    const tables = { others: other('Page'), things: other('Intent') }
    const line = 'kind shop, table things: the name Intent is taken by the platform'
    expect(usage(() => checkKind(shop({ prefix: '' }, tables)))).toBe(line)
    checkKind(shop({}, tables))
  })

  test("without a prefix a mutation must not take the platform's name either", () => {
    const queries = itemsTable({ row: 'Other', writes: [] })
    const functions = { startQuery: countItems() }
    const line = usage(() => checkKind(shop({ prefix: '', functions }, { queries })))
    expect(line).toBe('kind shop, function startQuery: the name startQuery is taken by the platform')
    checkKind(shop({ functions }, { queries }))
  })
})
