import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { castAsWritten } from '../../src/engine/arrow/as-written.ts'
import { leaving, rowsOf } from '../../src/engine/arrow/columns.ts'
import pl from '../../src/engine/arrow/polars.ts'
import { exactCast, TEXT } from '../../src/engine/duckdb/imports/casts.ts'
import { readCsv } from '../../src/engine/duckdb/imports/csv-source.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineKind } from '../../src/kinds/index.ts'
import type { LogicalType, Value } from '../../src/kinds/types.ts'
import { ImportModel } from './import-model.ts'

let model: ImportModel
let dir: string
beforeAll(async () => {
  model = await ImportModel.open()
  dir = await mkdtemp(join(tmpdir(), 'teatree-as-written-'))
})
afterAll(async () => {
  await model[Symbol.asyncDispose]()
  await rm(dir, { recursive: true })
})

const tableOf = (type: LogicalType) => {
  const columns = { number: 'BIGINT', value: `${type}?` } as const
  const cells = { row: 'Cell', description: 'Cells.', columns, key: ['number'], writes: ['import'] } as const
  const kind = defineKind({ name: 'cells', description: 'Cells.', engines: ['ARROW'], tables: { cells } })
  const table = checkKind(kind).tables.get('cells')
  if (!table) throw new Error('there is the table')
  return table
}

/** Of a file with these texts: whether it was taken, as it came, and of each cell, whether it was, and its value. */
async function asWritten(type: LogicalType, texts: readonly (string | null)[]) {
  const scratch = await mkdtemp(join(dir, 'read-'))
  const [path, to] = [join(scratch, 'cells.csv'), join(scratch, 'cells.arrow')]
  // Half of the files are of another delimiter, and half of the texts in quotes only where they have to be.
  const delimiter = texts.length % 2 === 0 ? ',' : ';'
  const mustQuote = (text: string, at: number) => at % 2 === 0 || text === '' || /["\r\n,;]/.test(text)
  const cell = (text: string, at: number) => (mustQuote(text, at) ? `"${text.replaceAll('"', '""')}"` : text)
  const lines = texts.map((text, at) => `${at}${delimiter}${text === null ? '' : cell(text, at)}`)
  await writeFile(path, `number${delimiter}value\n${lines.map(line => `${line}\n`).join('')}`)
  const reading = { sql: model.sql, table: tableOf(type), mapping: undefined, scratch, onRead: () => {} }
  const source = await readCsv({ ...reading, signal: new AbortController().signal }, path)
  const isTaken = (await castAsWritten(source, to)) !== null
  const columns = [
    { name: 'value', type },
    { name: '_faulty', type: 'BOOLEAN' },
  ] as const
  const rows = rowsOf(
    await pl
      .scanIPC(to)
      .select(...leaving(columns))
      .collect(),
  )
  return {
    isTaken,
    isPlain: source.text?.isNumbered === false,
    cells: rows.map(({ value, _faulty }) => ({ value: value ?? null, isFaulty: _faulty === true })),
  }
}

/** What DuckDB makes of each text; null where it refuses it. */
async function asCast(type: LogicalType, texts: readonly (string | null)[]): Promise<Value[]> {
  const rows = await model.sql.all(`SELECT ${exactCast('t', TEXT, type)} AS v FROM (SELECT unnest($texts) AS t)`, {
    texts,
  })
  return rows.map(({ v }) => v ?? null)
}

const digits = fc.stringMatching(/^[0-9]{0,20}$/)
const numberText = fc
  .tuple(fc.constantFrom('', '', '', '-', '+', ' '), digits, fc.option(digits), fc.constantFrom('', '', '', 'e2', ' '))
  .map(([sign, whole, fraction, end]) => `${sign}${whole}${fraction === null ? '' : `.${fraction}`}${end}`)
const part = fc.oneof(
  fc.integer({ min: 0, max: 40 }).map(number => String(number).padStart(2, '0')),
  fc.constantFrom(' 1', '1', '001', '1 ', '+1'),
)
const dateText = fc
  .tuple(fc.constantFrom('2024', '1600', '0001', '0000', '9999', '10000', '+202', ' 202', '24'), part, part)
  .map(parts => parts.join('-'))
const odd = fc.constantFrom(
  null,
  '',
  'true',
  'false',
  'TRUE',
  'True',
  '1',
  '0',
  '-0',
  'nan',
  '1_000',
  '0x1',
  'x\ny',
  'é',
)
const wild = fc.oneof(numberText, dateText, odd, fc.string())

const TYPES = [
  'VARCHAR',
  'INTEGER',
  'BIGINT',
  'DECIMAL(18,4)',
  'DECIMAL(38,10)',
  'DECIMAL(9,9)',
  'DECIMAL(12,0)',
  'BOOLEAN',
  'DATE',
] as const

/** The cells that are not what DuckDB makes of the text. */
const differing = (
  texts: readonly (string | null)[],
  cells: readonly { value: Value; isFaulty: boolean }[],
  cast: readonly Value[],
) =>
  cells
    .map(({ value, isFaulty }, at) => ({ text: texts[at], isFaulty, value, should: cast[at] ?? null }))
    .filter(({ text, isFaulty, value, should }) =>
      isFaulty ? text === null : value !== should || (text !== null && should === null),
    )

describe.each(TYPES)('%s', type => {
  test.each([5000, 5001])('what is taken as it is written is what DuckDB makes of it, of %i texts', async numRuns => {
    const texts = fc
      .sample(wild, { numRuns, seed: 20240131 + numRuns })
      .map(text => text?.replaceAll('\u0000', '') ?? null)
    const [{ cells }, cast] = [await asWritten(type, texts), await asCast(type, texts)]
    expect(cells.length).toBe(texts.length)
    expect(differing(texts, cells, cast)).toEqual([])
  })

  test('so is what is taken of a plain file', async () => {
    const texts = fc
      .sample(wild, { numRuns: 5000, seed: 20240229 })
      .map(text => text?.replaceAll('\u0000', '').replace(/[\r\n]/g, '') ?? null)
    const [{ cells, isPlain }, cast] = [await asWritten(type, texts), await asCast(type, texts)]
    expect(isPlain).toBe(true)
    expect(differing(texts, cells, cast)).toEqual([])
  })

  test('values as they are written are taken, and one cell that is none has the file refused', async () => {
    const written = {
      VARCHAR: 'x,"y"',
      INTEGER: '-12',
      BIGINT: '9007199254740993',
      BOOLEAN: 'false',
      DATE: '2024-02-29',
    }
    const text = written[type as keyof typeof written] ?? (type === 'DECIMAL(12,0)' ? '120' : '0.5')
    const texts = [null, ...Array.from({ length: 5000 }, () => text)]
    expect(await asWritten(type, texts)).toMatchObject({ isTaken: true })
    const long = 'x'.repeat(2 ** 18 + 1)
    expect(await asWritten(type, [...texts, long])).toMatchObject({ isTaken: false })
  })
})
