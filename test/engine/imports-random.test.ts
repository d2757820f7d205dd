import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import pl from 'nodejs-polars'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { readCsv } from '../../src/engine/duckdb/imports/csv-source.ts'
import { literal } from '../../src/engine/duckdb/sql.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { LONGER } from '../support/longer.ts'
import { ImportModel, refused } from './import-model.ts'
import { DAMAGE, keyed, parcelRow, type Written, writeCsv, writeNdjson } from './import-rows.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

type TextFormat = 'CSV' | 'NDJSON'
const textFile = fc.record({
  rows: fc.array(parcelRow, { minLength: 1, maxLength: 60 }).map(keyed),
  format: fc.constantFrom<TextFormat>('CSV', 'NDJSON'),
  delimiter: fc.constantFrom(',', ';', '\t', '|'),
  newline: fc.constantFrom('\n', '\r\n', '\r'),
  whims: fc.infiniteStream(fc.boolean()),
})
type TextFile = typeof textFile extends fc.Arbitrary<infer T> ? T : never

function write({ format, delimiter, newline, whims }: TextFile, rows: readonly Row[]): Written {
  const whim = () => whims.next().value
  return format === 'CSV' ? writeCsv(rows, { delimiter, newline, quote: whim }) : writeNdjson(rows, whim)
}

const byKey = (rows: readonly Row[]) => rows.toSorted((a, b) => Number(a.parcelId) - Number(b.parcelId))

test('random rows written as CSV or NDJSON are imported as they were', async () => {
  await fc.assert(
    fc.asyncProperty(textFile, async file => {
      const { content } = write(file, file.rows)
      await model.file('parcels', { format: file.format, content, mode: 'REPLACE' })
      expect(byKey(await model.rows('parcels'))).toEqual(file.rows)
    }),
    { numRuns: 24 * LONGER },
  )
})

const withoutNewLines = (row: Row): Record<string, Value> =>
  Object.fromEntries(
    Object.entries(row).map(([name, value]) => [
      name,
      typeof value === 'string' ? value.replace(/[\r\n]/g, ' ') : value,
    ]),
  )

test('a plain CSV file is read as it came, and makes the same rows', async () => {
  await fc.assert(
    fc.asyncProperty(textFile, async file => {
      const rows = file.rows.map(withoutNewLines)
      const { content } = write({ ...file, format: 'CSV', newline: '\n' }, rows)
      const path = await model.write(content)
      const reading = { sql: model.sql, table: model.table('parcels'), mapping: undefined, scratch: model.dir }
      const { signal } = new AbortController()
      const source = await readCsv({ ...reading, signal, onRead: () => {} }, path)
      expect(source).toMatchObject({ records: rows.length, text: { path, isNumbered: false } })
      await model.file('parcels', { format: 'CSV', content, mode: 'REPLACE' })
      expect(byKey(await model.rows('parcels'))).toEqual(rows)
    }),
    { numRuns: 24 * LONGER },
  )
})

test('cells that were damaged are all found, with row, line and column, and no others', async () => {
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { minLength: 1, maxLength: 30 })
  await fc.assert(
    fc.asyncProperty(textFile, damage, fc.boolean(), async (file, places, isPlain) => {
      const rows = file.rows.map(row => (isPlain ? withoutNewLines(row) : { ...row }))
      const damaged = new Set<string>()
      const columns = Object.keys(DAMAGE)
      for (const [at, which, how] of places) {
        const row = rows[at % rows.length]
        const column = columns[which % columns.length] ?? ''
        const texts = DAMAGE[column] ?? []
        if (row) row[column] = texts[how % texts.length] ?? ''
        damaged.add(`${(at % rows.length) + 1} ${column}`)
      }
      const { content, lines } = write(file, rows)
      const error = await refused(model.file('parcels', { format: file.format, content }))
      expect(error.code).toBe('BAD_VALUE')
      expect(error.details).toEqual({ badCells: damaged.size })
      expect(new Set(error.cells.map(({ row, column }) => `${row} ${column}`))).toEqual(damaged)
      for (const { row, line } of error.cells) expect(line).toBe(lines[Number(row) - 1])
    }),
    { numRuns: 24 * LONGER },
  )
})

test('the same rows as Parquet and Arrow, file and stream', async () => {
  const rows = keyed(fc.sample(parcelRow, { numRuns: 3000, seed: 7 }))
  const { content } = writeCsv(rows, { delimiter: ',', newline: '\n', quote: () => false })
  await model.file('parcels', { format: 'CSV', content, mode: 'REPLACE' })
  expect(byKey(await model.rows('parcels'))).toEqual(rows)
  const path = join(model.dir, 'rows.parquet')
  await model.sql.run(`COPY (SELECT * FROM parcels ORDER BY parcelId) TO ${literal(path)} (ROW_GROUP_SIZE 2048)`)
  const frame = pl.readParquet(path)
  const arrow = { file: join(model.dir, 'rows.arrow'), stream: join(model.dir, 'rows.arrows') }
  frame.writeIPC(arrow.file, { compression: 'zstd' })
  frame.writeIPCStream(arrow.stream)
  for (const [format, file] of [
    ['PARQUET', path],
    ['ARROW', arrow.file],
    ['ARROW', arrow.stream],
  ] as const) {
    const counts = await model.file('parcels', { format, content: await readFile(file), mode: 'REPLACE' })
    expect(counts).toEqual({ inserted: rows.length, updated: 0, deleted: rows.length })
    expect(byKey(await model.rows('parcels'))).toEqual(rows)
  }
})
