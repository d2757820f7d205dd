import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, describe, expect, test } from 'vitest'
import { arg } from '../../src/kinds/arguments.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { countItems, heavyItems, itemsTable, shop, usage } from '../support/kinds-of.ts'

const dir = mkdtempSync(join(tmpdir(), 'teatree-kinds-'))
afterAll(() => rmSync(dir, { recursive: true }))
const sqlFile = (name: string, text: string) => {
  writeFileSync(join(dir, name), text)
  return pathToFileURL(join(dir, name))
}
const good = sqlFile('good.sql', 'SELECT 1 AS items')

const withFunction = (changes: Record<string, unknown>) => () =>
  checkKind(shop({ functions: { count: countItems(changes) } }))
const withQuery = (changes: Record<string, unknown>) => () =>
  checkKind(shop({ queries: { heavy: heavyItems(changes) } }))
const taking = (args: Record<string, unknown>) => withFunction({ arguments: args })

const color = (values: Record<string, string> = { RED: '', BLUE: '' }) => ({
  name: 'Color',
  description: 'A color.',
  values,
})
const span = (fields: Parameters<typeof arg.object>[0]['fields']) => ({ name: 'Span', description: 'A span.', fields })

describe('a function', () => {
  test('may be SQL in a file, for some of the engines of its kind', () => {
    const engines = { DUCKDB: { sql: good } }
    const kind = checkKind(shop({ engines: ['ARROW', 'DUCKDB'], functions: { count: countItems({ engines }) } }))
    expect(kind.functions.get('count')?.engines).toBe(engines)
  })

  test('may share its enums, objects and result with others, where they are the same', () => {
    const args = {
      color: arg.oneOf(color()),
      colors: arg.list(arg.oneOf(color())),
      span: arg.object(span({ a: arg.date() })),
    }
    const functions = { one: countItems({ arguments: args }), two: countItems({ arguments: args }) }
    const queries = { three: heavyItems({ arguments: args }) }
    expect(checkKind(shop({ functions, queries })).functions.size).toBe(2)
    const two = countItems({ arguments: { color: arg.oneOf(color({ RED: '' })) } })
    expect(usage(() => checkKind(shop({ functions: { ...functions, two } })))).toBe(
      'kind shop: the type Color of function two is not that of function one',
    )
  })

  test.each<[string, () => unknown, RegExp]>([
    [
      'no implementation',
      withFunction({ engines: {} }),
      /^kind shop, functions\.count\.engines: there must be an implementation/,
    ],
    [
      'an engine that the kind has not',
      withFunction({ engines: { ARROW: async () => ({}) } }),
      /the kind itself is not for ARROW/,
    ],
    [
      'an engine that is none',
      withFunction({ engines: { ORACLE: async () => ({}) } }),
      /^kind shop, functions\.count\.engines/,
    ],
    [
      'text for an implementation',
      withFunction({ engines: { DUCKDB: 'SELECT 1' } }),
      /engines\.DUCKDB: must be a function, or \{sql: URL\}/,
    ],
    [
      'a path for a URL',
      withFunction({ engines: { DUCKDB: { sql: './good.sql' } } }),
      /engines\.DUCKDB: must be a function/,
    ],
    [
      'no file',
      withFunction({ engines: { DUCKDB: { sql: new URL('no.sql', good) } } }),
      /the file no\.sql cannot be read$/,
    ],
    [
      'an empty file',
      withFunction({ engines: { DUCKDB: { sql: sqlFile('empty.sql', ' \n') } } }),
      /the file empty\.sql is empty$/,
    ],
    ['another file', withFunction({ engines: { DUCKDB: { sql: sqlFile('a.txt', 'x') } } }), /a\.txt is no \.sql file/],
    [
      'a file elsewhere',
      withFunction({ engines: { DUCKDB: { sql: new URL('https://example.com/a.sql') } } }),
      /must be a file beside/,
    ],
    ['no time', withFunction({ timeoutSeconds: 0 }), /functions\.count\.timeoutSeconds: /],
    [
      'a code in small letters',
      withFunction({ errors: { NotThere: 'x' } }),
      /errors\.NotThere: "NotThere" is no name of the form/,
    ],
    [
      "a code of the platform's",
      withFunction({ errors: { BAD_VALUE: 'x' } }),
      /errors\.BAD_VALUE: BAD_VALUE is a code of the platform/,
    ],
    [
      'an empty result',
      withFunction({ result: { name: 'R', description: 'x', columns: {} } }),
      /result\.columns: there must be at least one/,
    ],
    [
      'an id in its result',
      withFunction({ result: { name: 'R', description: 'x', columns: { id: 'VARCHAR' } } }),
      /result\.columns\.id: the name id/,
    ],
    [
      "a result like a table's type",
      withFunction({ result: { name: 'Item', description: 'x', columns: { a: 'DATE' } } }),
      /the name ShopItem is taken by kind shop, table items/,
    ],
    [
      'arguments to run on versions',
      withFunction({ runsOn: 'sales', arguments: { a: arg.date() } }),
      /arguments\.a: a function with runsOn/,
    ],
    [
      'a model called as those it runs on',
      withFunction({ runsOn: 'sales', arguments: { source: arg.optional(arg.model('sales')) } }),
      /source: the models it runs on are called that/,
    ],
  ])('with %s stops the start', (_, act, line) => {
    expect(usage(act)).toMatch(line)
  })

  test('and tables and queries are told apart by name', () => {
    expect(usage(() => checkKind(shop({ functions: { items: countItems() } })))).toBe(
      'kind shop, functions.items: the name items is taken by table items',
    )
    expect(
      usage(() => checkKind(shop({ functions: { heavy: countItems() }, queries: { Heavy: heavyItems() } }))),
    ).toMatch(/queries\.Heavy: the name Heavy is taken by function heavy, as heavy, which differs only by case/)
  })

  test('must not give a mutation the name that writes a table', () => {
    const functions = { appendItems: countItems() }
    expect(usage(() => checkKind(shop({ prefix: '', functions })))).toBe(
      'kind shop, function appendItems: the name appendItems is taken by kind shop, table items',
    )
  })
})

describe('an argument', () => {
  test('with a model, its version and what else may be left out runs on versions', () => {
    const args = {
      model1: arg.optional(arg.model('sales', { version: 'v' })),
      v: arg.optional(arg.integer()),
      d: arg.date({ default: '2024-01-01' }),
    }
    withFunction({ runsOn: 'sales', arguments: args })()
  })

  test.each<[string, () => unknown, RegExp]>([
    ['that is no argument', taking({ a: 'VARCHAR' }), /^kind shop, functions\.count\.arguments\.a/],
    [
      'of no type',
      taking({ a: { type: { is: 'scalar', type: 'TEXT' }, nullable: false } }),
      /"TEXT" is no logical type/,
    ],
    ['of another sort', taking({ a: { type: { is: 'blob' }, nullable: false } }), /arguments\.a\.type/],
    ['with two underscores', taking({ a__b: arg.date() }), /arguments\.a__b: .*two underscores/],
    [
      'like another but for case',
      taking({ a: arg.date(), A: arg.date() }),
      /arguments\.A: the name A is taken by argument a/,
    ],
    [
      'whose default is wrong',
      taking({ a: arg.date({ default: '2024-02-30' }) }),
      /arguments\.a: default: "2024-02-30" is no DATE/,
    ],
    [
      'whose list default is wrong',
      taking({ a: arg.list(arg.integer(), { default: [1.5] }) }),
      /default\[0\]: 1\.5 is no INTEGER/,
    ],
    [
      'whose enum default is wrong',
      taking({ a: { ...arg.oneOf(color()), default: 'PINK' } }),
      /"PINK" is no Color; there are RED, BLUE/,
    ],
    [
      'whose object has a default',
      taking({ a: { ...arg.object(span({ a: arg.date() })), default: {} } }),
      /what is of the sort object has no default/,
    ],
    [
      'whose items have a default',
      taking({ a: arg.list(arg.integer({ default: 1 })) }),
      /an item of a list has no default/,
    ],
    ['that is an empty enum', taking({ a: arg.oneOf(color({})) }), /an enum has at least one value/],
    ['with a value null', taking({ a: arg.oneOf(color({ null: '' })) }), /the name null is taken by GraphQL/],
    ['with a value that is no name', taking({ a: arg.oneOf(color({ 'dark-red': '' })) }), /"dark-red" is no name/],
    ['that is an empty object', taking({ a: arg.object(span({})) }), /an object has at least one field/],
    [
      'wrong inside an object',
      taking({ a: arg.object(span({ b: arg.decimal(50, 2) })) }),
      /arguments\.a\.b: "DECIMAL\(50,2\)"/,
    ],
    ['on no table', taking({ a: arg.where('rooms') }), /arguments\.a: there is no table rooms/],
    [
      'with a where inside',
      taking({ a: arg.object(span({ b: arg.where('items') })) }),
      /a where is an argument of its own/,
    ],
    ['with a list of models', taking({ a: arg.list(arg.model('sales')) }), /a model is an argument of its own/],
    ['attached as main', taking({ main: arg.model('sales') }), /no model is attached as main/],
    ['whose version is no argument', taking({ a: arg.model('sales', { version: 'v' }) }), /there is no argument v/],
    [
      'whose version must be given',
      taking({ a: arg.model('sales', { version: 'v' }), v: arg.integer() }),
      /must be an INTEGER that may be left out/,
    ],
    [
      'bound like a field',
      taking({ s: arg.object(span({ a: arg.date() })), s_a: arg.date() }),
      /the name s_a is taken by the SQL parameter \$s_a/,
    ],
  ])('%s stops the start', (_, act, line) => {
    expect(usage(act)).toMatch(line)
  })
})

describe('a query function', () => {
  test('may be SQL in a file, in an order of its columns', () => {
    withQuery({ engines: { DUCKDB: { sql: good, orderBy: ['itemId'] } } })()
  })

  test.each<[string, () => unknown, RegExp]>([
    [
      'SQL without an order',
      withQuery({ engines: { DUCKDB: { sql: good, orderBy: [] } } }),
      /engines\.DUCKDB\.orderBy: must name at least one row column/,
    ],
    [
      'SQL in an order of nothing',
      withQuery({ engines: { DUCKDB: { sql: good, orderBy: ['name'] } } }),
      /orderBy: there is no row column name/,
    ],
    [
      'SQL ordered twice',
      withQuery({ engines: { DUCKDB: { sql: good, orderBy: ['itemId', 'itemId'] } } }),
      /orderBy: a column is named twice/,
    ],
    [
      'page fields of SQL',
      withQuery({ page: { asOf: 'DATE' }, engines: { DUCKDB: { sql: good, orderBy: ['itemId'] } } }),
      /page fields need an implementation in TypeScript/,
    ],
    [
      'a page field of every connection',
      withQuery({ page: { totalCount: 'BIGINT' } }),
      /page\.totalCount: the name totalCount is taken/,
    ],
    [
      'an argument of every connection',
      withQuery({ arguments: { first: arg.integer() } }),
      /arguments\.first: the name first is taken/,
    ],
    [
      'a model without a version',
      withQuery({ arguments: { a: arg.model('sales') } }),
      /name the argument that chooses/,
    ],
    [
      'a model whose version may be left out',
      withQuery({ arguments: { a: arg.model('sales', { version: 'v' }), v: arg.optional(arg.integer()) } }),
      /must be an INTEGER that must be given/,
    ],
    [
      'a model that may be left out',
      withQuery({ arguments: { a: arg.optional(arg.model('sales', { version: 'v' })), v: arg.integer() } }),
      /the model that a query reads must be given/,
    ],
    [
      'SQL over a model',
      withQuery({
        arguments: { a: arg.model('sales', { version: 'v' }), v: arg.integer() },
        engines: { DUCKDB: { sql: good, orderBy: ['itemId'] } },
      }),
      /is written in TypeScript/,
    ],
    ['a where', withQuery({ arguments: { a: arg.where('items') } }), /a query function takes no where/],
    ['runsOn', withQuery({ runsOn: 'sales' }), /^kind shop, queries\.heavy: .*runsOn/],
  ])('with %s stops the start', (_, act, line) => {
    expect(usage(act)).toMatch(line)
  })

  test('must not be called like a field of every snapshot, or one made of a table', () => {
    expect(usage(() => checkKind(shop({ queries: { sql: heavyItems() } })))).toMatch(
      /query sql: the name sql is taken by every/,
    )
    expect(usage(() => checkKind(shop({ queries: { itemsDiff: heavyItems() } })))).toMatch(/is taken by table items/)
    const clash = shop({ queries: { heavy: heavyItems() } }, { heavies: itemsTable({ row: 'HeavyItem' }) })
    expect(usage(() => checkKind(clash))).toMatch(
      /query heavy: the name ShopHeavyItem is taken by kind shop, table heavies/,
    )
  })
})
