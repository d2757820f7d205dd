import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { literal } from '../../src/engine/duckdb/sql.ts'
import type { Value } from '../../src/kinds/types.ts'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
  await model.sql.run(`SET TimeZone = 'America/New_York'`)
})
afterAll(() => model[Symbol.asyncDispose]())

let files = 0
/** A Parquet file with one column, `v`, of these SQL values beside a key. */
async function parquet(values: readonly string[]): Promise<string> {
  const path = join(model.dir, `typed ${++files}.parquet`)
  const rows = values.map((value, at) => `SELECT ${at}::BIGINT AS k, ${value} AS v`).join(' UNION ALL ')
  await model.sql.run(`COPY (${rows}) TO ${literal(path)} (FORMAT parquet)`)
  return path
}
const into = async (column: string, values: readonly string[]): Promise<Value[]> => {
  const columns = { parcelId: 'k', [column]: 'v' }
  const source = { is: 'file', path: await parquet(values), format: 'PARQUET', columns } as const
  await model.from('parcels', source, { mode: 'REPLACE' })
  return (await model.rows('parcels')).map(row => row[column] ?? null)
}
/** The rows, from 1, in which the values are refused. */
const refusedRows = async (column: string, values: readonly string[]): Promise<(number | undefined)[]> => {
  const { code, cells, details } = await refused(into(column, values))
  expect(code).toBe('BAD_VALUE')
  expect(details).toEqual({ badCells: cells.length })
  return cells.map(({ row }) => row)
}

describe('what survives', () => {
  test.each<[string, string[], Value[]]>([
    ['pieces', ['1::TINYINT', 'NULL'], [1, null]],
    ['pieces', ['2147483647::UINTEGER'], [2147483647]],
    ['pieces', ['-5::HUGEINT'], [-5]],
    ['pieces', ['3.00::DECIMAL(9,2)'], [3]],
    ['pieces', ['3::DOUBLE', '-1e3::DOUBLE'], [3, -1000]],
    ['tracking', ['18446744073709551615::UBIGINT // 2'], ['9223372036854775807']],
    ['price', ['1.2345::DECIMAL(19,4)', '-99999999999999.9999::DECIMAL(19,4)'], ['1.2345', '-99999999999999.9999']],
    ['price', ['1.5::DECIMAL(4,1)'], ['1.5000']],
    ['price', ['1.230000::DECIMAL(38,6)'], ['1.2300']],
    ['price', ['0.1::DOUBLE', '1e-4::DOUBLE', '12345678.9::DOUBLE'], ['0.1000', '0.0001', '12345678.9000']],
    ['price', ['0.1::FLOAT'], ['0.1000']],
    ['price', ['7::BIGINT'], ['7.0000']],
    ['weight', ['0.1::FLOAT'], [0.10000000149011612]],
    ['weight', ['-0.0::DOUBLE', '1e300::DOUBLE'], [0, 1e300]],
    ['weight', ['0.1::DECIMAL(3,1)', '123::DECIMAL(3,0)'], [0.1, 123]],
    ['weight', ['9007199254740992::BIGINT'], [9007199254740992]],
    ['fragile', ['TRUE', 'FALSE'], [true, false]],
    ['sentOn', [`TIMESTAMP '2013-01-31 00:00:00'`], ['2013-01-31']],
    ['sentOn', [`TIMESTAMPTZ '2013-01-31 00:00:00+00'`], ['2013-01-31']],
    ['sentOn', [`'2013-01-31'`], ['2013-01-31']],
    ['seenAt', [`DATE '2013-01-31'`], ['2013-01-31T00:00:00.000000Z']],
    ['seenAt', [`TIMESTAMPTZ '2013-01-31 09:00:00+02'`], ['2013-01-31T07:00:00.000000Z']],
    ['seenAt', [`TIMESTAMP_NS '2013-01-31 09:00:00.123456'`], ['2013-01-31T09:00:00.123456Z']],
    ['label', ['5::INTEGER'], ['5']],
    ['label', ['1.50::DECIMAL(9,4)'], ['1.5000']],
    ['label', ['TRUE'], ['true']],
    ['label', [`DATE '2013-01-31'`], ['2013-01-31']],
    ['label', [`TIMESTAMP '2013-01-31 09:00:00'`], ['2013-01-31T09:00:00.000000Z']],
    ['label', [`TIME '09:00:00'`], ['09:00:00']],
    ['label', [`UUID 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'`], ['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11']],
    ['label', [`'x'::ENUM('x','y')`], ['x']],
    ['label', ['NULL::INTEGER[]', 'NULL'], [null, null]],
  ])('%s from %j', async (column, values, expected) => expect(await into(column, values)).toEqual(expected))
})

describe('what is refused', () => {
  test.each<[string, string[], number[]]>([
    ['pieces', ['2147483648::BIGINT', '1::BIGINT', '-2147483649::BIGINT'], [1, 3]],
    ['pieces', ['1.5::DECIMAL(9,2)', '1.00::DECIMAL(9,2)'], [1]],
    ['pieces', ['1.5::DOUBLE', `'nan'::DOUBLE`, '2::DOUBLE'], [1, 2]],
    ['pieces', ['TRUE'], [1]],
    ['tracking', ['9223372036854775808::UBIGINT', '1::UBIGINT'], [1]],
    ['price', ['100000000000000.0000::DECIMAL(19,4)', '1::DECIMAL(19,4)'], [1]],
    ['price', ['1.23456::DECIMAL(18,5)', '1.23450::DECIMAL(18,5)'], [1]],
    ['price', ['0.00001::DOUBLE', `'inf'::DOUBLE`, '1e14::DOUBLE', '1::DOUBLE'], [1, 2, 3]],
    ['weight', ['9007199254740993::BIGINT'], [1]],
    ['weight', [`'inf'::DOUBLE`, `'nan'::FLOAT`], [1, 2]],
    ['weight', ['0.12345678901234567890::DECIMAL(20,20)'], [1]],
    ['fragile', ['1::INTEGER', '0::INTEGER'], [1, 2]],
    ['sentOn', [`TIMESTAMP '2013-01-31 00:00:00.000001'`, `TIMESTAMP '2013-01-31'`], [1]],
    ['sentOn', [`DATE '10000-01-01'`, `DATE 'infinity'`, `DATE '0001-01-01 (BC)'`], [1, 2, 3]],
    ['sentOn', ['20130131::INTEGER'], [1]],
    ['seenAt', [`TIMESTAMP_NS '2013-01-31 09:00:00.123456789'`], [1]],
    ['seenAt', [`TIMESTAMP 'infinity'`, `TIMESTAMPTZ '-infinity'::TIMESTAMP`, `TIMESTAMP '10000-01-01'`], [1, 2, 3]],
    ['seenAt', [`TIME '09:00:00'`], [1]],
    ['label', ['[1,2]', 'NULL'], [1]],
    ['label', [`{'a': 1}`], [1]],
    ['label', [`'\\x41'::BLOB`], [1]],
    ['label', [`'a' || chr(0)`, `repeat('x', 1048577)`, `repeat('x', 1048576)`], [1, 2]],
  ])('%s from %j: rows %j', async (column, values, rows) => expect(await refusedRows(column, values)).toEqual(rows))

  test('the message says the value, its type and what would be right', async () => {
    const { message, cells } = await refused(into('pieces', [`repeat('y', 100)`, 'NULL']))
    expect(cells).toEqual([
      {
        row: 1,
        column: 'pieces',
        message: `"${'y'.repeat(60)}…" is no INTEGER; give a whole number from -2147483648 to 2147483647`,
      },
    ])
    expect(message).toBe(`row 1, column pieces: ${cells[0]?.message}`)
    const typed = await refused(into('sentOn', ['20130131::INTEGER']))
    expect(typed.cells[0]?.message).toBe('"20130131" (INTEGER) is no DATE; give a day of the calendar as 2013-01-31')
  })

  test('a value that is required and missing', async () => {
    const path = await parquet(['1', '2'])
    const columns = { code: 'v', name: 'n' }
    await model.sql.run(
      `COPY (SELECT v, CASE WHEN k = 0 THEN 'a' END AS n FROM ${literal(path)}) TO ${literal(`${path}.2`)} (FORMAT parquet)`,
    )
    const { cells } = await refused(model.from('depots', { is: 'file', path: `${path}.2`, format: 'PARQUET', columns }))
    expect(cells).toEqual([
      { row: 2, column: 'name', message: expect.stringMatching(/^it is required and has no value; give a text/) },
    ])
  })

  test('the first 100 of many cells, in order, and how many there are', async () => {
    const path = join(model.dir, 'many.parquet')
    await model.sql.run(`COPY (SELECT i AS k, i::VARCHAR || '!' AS v FROM range(300000) t(i)) TO ${literal(path)}`)
    const columns = { parcelId: 'k', pieces: 'v', price: 'v' }
    const { cells, details, message } = await refused(
      model.from('parcels', { is: 'file', path, format: 'PARQUET', columns }),
    )
    expect(details).toEqual({ badCells: 600_000 })
    expect(message).toMatch(/; and 599999 more$/)
    expect(cells.map(({ row, column }) => `${row} ${column}`)).toEqual(
      Array.from({ length: 50 }, (_, at) => [`${at + 1} pieces`, `${at + 1} price`]).flat(),
    )
  })
})
