import { join } from 'node:path'
import {
  Decimal,
  Dictionary,
  Float32,
  Int32,
  Int64,
  Table,
  TimestampNanosecond,
  tableToIPC,
  Uint32,
  Utf8,
  vectorFromArray,
} from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { describeFile } from '../../src/engine/duckdb/imports/index.ts'
import { literal } from '../../src/engine/duckdb/sql.ts'
import { detectFormat, type ImportFormat } from '../../src/engine/files.ts'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

const table = new Table({
  n: vectorFromArray([1, 2, 3], new Int32()),
  word: vectorFromArray(['a', 'b', 'a'], new Dictionary(new Utf8(), new Int32())),
  price: vectorFromArray([null, null, null], new Decimal(2, 9)),
  at: vectorFromArray([null, null, null], new TimestampNanosecond()),
  u: vectorFromArray([1, 2, 3], new Uint32()),
  f: vectorFromArray([1, 2, 3], new Float32()),
  big: vectorFromArray([1n, 2n, 3n], new Int64()),
})

describe('the format is told from the content', () => {
  test.each<[ImportFormat | null, string | Uint8Array]>([
    ['PARQUET', 'PAR1\x15\x04\x15'],
    ['ARROW', tableToIPC(table, 'file')],
    ['ARROW', tableToIPC(table, 'stream')],
    ['NDJSON', '{"a":1}\n'],
    ['NDJSON', '\ufeff\r\n  {'],
    ['CSV', 'a,b\n1,2\n'],
    ['CSV', 'name'],
    ['CSV', '\ufeffa;b'],
    ['CSV', '"[a]",b\n'],
    ['CSV', '[Order ID],[Line]\n'],
    ['CSV', 'é'.repeat(40_000)],
    [null, ''],
    [null, ' \r\n\t\n'],
    [null, '\ufeff'],
    [null, '[{"a":1}]'],
    [null, '[\n  {"a":1}\n]'],
    [null, '<?xml version="1.0"?>'],
    [null, '<!doctype html>'],
    [null, 'a,b\n1,\0\n'],
    [null, 'a,b\n1,\x1b\n'],
    [null, Buffer.from('a,b\n1,\u00e9\n', 'utf16le')],
    [null, Buffer.from('prix,\xe9t\xe9\n', 'latin1')],
    [null, Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0)],
    [null, Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0, 6, 0)],
    [null, Uint8Array.of(0xff, 0xff, 0xff, 0xff, 7, 0, 0, 0, 1, 0, 0, 0)],
  ])('%s: %j', (format, head) => {
    expect(detectFormat(typeof head === 'string' ? Buffer.from(head) : head)).toBe(format)
  })

  test('a character that the head cuts short is no fault', () => {
    const bytes = Buffer.from('name\n😀')
    for (let length = 5; length <= bytes.length; length++) expect(detectFormat(bytes.subarray(0, length))).toBe('CSV')
    expect(detectFormat(Buffer.concat([bytes.subarray(0, 7), Buffer.from('\n')]))).toBe(null)
  })
})

describe('what a file holds', () => {
  const described = async (content: string | Uint8Array, format: ImportFormat) =>
    describeFile(model.sql, await model.write(content), format)
  const columns = (types: Record<string, string>, nullable = true) =>
    Object.entries(types).map(([name, type]) => ({ name, type, nullable }))

  test('CSV: its header', async () => {
    expect(await described('a;"b;c"\n1;2\n', 'CSV')).toEqual({
      columns: columns({ a: 'VARCHAR', 'b;c': 'VARCHAR' }),
      rows: null,
    })
  })

  test('NDJSON: the keys of its first lines', async () => {
    const content =
      '{"a":1,"b":"x","c":true}\n\n{"a":null,"d":1.5,"e":[1],"f":null,"g":1}\n{"b":1,"d":2,"g":0.5,"h":12345678901234567890}\n'
    const types = {
      a: 'BIGINT',
      b: 'VARCHAR',
      c: 'BOOLEAN',
      d: 'DOUBLE',
      e: 'JSON',
      f: 'VARCHAR',
      g: 'DOUBLE',
      h: 'DOUBLE',
    }
    expect(await described(content, 'NDJSON')).toEqual({ columns: columns(types), rows: null })
  })

  test('Parquet: its columns, nested ones too, and rows', async () => {
    const path = join(model.dir, 'describe [1].parquet')
    await model.sql.run(
      `COPY (SELECT i::SMALLINT AS s, {'x': i, 'y': [i]} AS n, i::DECIMAL(9,2) AS d, TIMESTAMPTZ '2013-01-31' AS t, 'x'::BLOB AS b,
       MAP {'k': i} AS m, i::FLOAT AS f, uuid() AS u, i::UBIGINT AS big FROM range(5) r(i)) TO ${literal(path)}`,
    )
    const described = await describeFile(model.sql, path, 'PARQUET')
    expect(described.rows).toBe(5)
    expect(Object.fromEntries(described.columns.map(({ name, type }) => [name, type]))).toMatchObject({
      s: 'INTEGER',
      n: 'STRUCT(x BIGINT, y BIGINT[])',
      d: 'DECIMAL(9,2)',
      t: 'TIMESTAMP',
      b: 'BLOB',
      m: 'MAP(VARCHAR, BIGINT)',
      f: 'DOUBLE',
      u: 'VARCHAR',
      big: 'UBIGINT',
    })
    expect(described.columns.every(({ nullable }) => nullable)).toBe(true)
  })

  test.each(['file', 'stream'] as const)('Arrow, %s: its columns and rows', async form => {
    const types = {
      n: 'INTEGER',
      word: 'VARCHAR',
      price: 'DECIMAL(9,2)',
      at: 'TIMESTAMP',
      u: 'BIGINT',
      f: 'DOUBLE',
      big: 'BIGINT',
    }
    expect(await described(tableToIPC(table, form), 'ARROW')).toEqual({ columns: columns(types), rows: 3 })
  })

  test.each<[ImportFormat, string]>([
    ['CSV', '\n'],
    ['NDJSON', '{"a":1}\n{"a":\n'],
    ['PARQUET', 'PAR1 and nothing more'],
    ['ARROW', 'ARROW1\0\0 and nothing more'],
  ])('a %s file that cannot be read', async (format, content) => {
    const error = await refused(described(content, format))
    expect(error.code).toBe('BAD_FILE')
  })
})
