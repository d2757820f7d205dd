import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { cellOf, frameOf, leaving, rowsOf } from '../../src/engine/arrow/columns.ts'
import { ipcMessages } from '../../src/engine/arrow/ipc-messages.ts'
import pl, { type LazyDataFrame } from '../../src/engine/arrow/polars.ts'
import { setCells } from '../../src/engine/arrow/set-cells.ts'
import type { LogicalType, Row, Value } from '../../src/kinds/types.ts'

const COLUMNS = [
  { name: 'note', type: 'VARCHAR' },
  { name: 'small', type: 'INTEGER' },
  { name: 'text', type: 'VARCHAR' },
  { name: 'big', type: 'BIGINT' },
  { name: 'flag', type: 'BOOLEAN' },
  { name: 'amount', type: 'DECIMAL(38,4)' },
  { name: 'ratio', type: 'DOUBLE' },
  { name: 'day', type: 'DATE' },
  { name: 'at', type: 'TIMESTAMP' },
] as const satisfies { name: string; type: LogicalType }[]
const SET = ['small', 'big', 'amount', 'ratio', 'day', 'at'] as const

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-cells-'))
})
afterAll(() => rm(dir, { recursive: true }))

let files = 0
async function fileOf(frame: LazyDataFrame): Promise<string> {
  const path = join(dir, `${files++}.arrow`)
  await frame.sinkIpc(path, { compression: 'uncompressed', maintainOrder: true }).collect()
  return path
}
const rowsIn = async (path: string): Promise<Row[]> => rowsOf(await pl.scanIPC(path).select(leaving(COLUMNS)).collect())

const amount = fc
  .bigInt({ min: -(10n ** 38n) + 1n, max: 10n ** 38n - 1n })
  .map(unscaled => `${unscaled < 0n ? '-' : ''}${`${unscaled}`.replace('-', '').padStart(5, '0')}`)
  .map(digits => digits.replace(/(.{4})$/, '.$1'))
const moment = fc.date({
  min: new Date('0001-01-01T00:00:00Z'),
  max: new Date('9999-12-31T23:59:59Z'),
  noInvalidDate: true,
})
const text = fc.option(fc.string({ unit: 'grapheme', maxLength: 40 }))
const row = fc.record<Record<(typeof COLUMNS)[number]['name'], Value>>({
  note: text,
  small: fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 }),
  text,
  big: fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String),
  flag: fc.option(fc.boolean()),
  amount,
  ratio: fc.double({ noNaN: true, noDefaultInfinity: true }).map(value => value + 0),
  day: moment.map(date => date.toISOString().slice(0, 10)),
  at: fc
    .tuple(moment, fc.nat(999))
    .map(([date, micro]) => `${date.toISOString().slice(0, 23)}${`${micro}`.padStart(3, '0')}Z`),
})

test('cells are set in those rows, and nothing else is, in whichever columns', async () => {
  const cases = fc.record({
    rows: fc.array(row, { minLength: 1, maxLength: 40 }),
    value: row,
    names: fc.subarray([...SET], { minLength: 1 }),
    which: fc.infiniteStream(fc.boolean()),
  })
  await fc.assert(
    fc.asyncProperty(cases, async ({ rows, value, names, which }) => {
      const path = await fileOf(frameOf(COLUMNS, rows).lazy())
      const before = await rowsIn(path)
      const places = Uint32Array.from(rows.flatMap((_, place) => (which.next().value ? [place] : [])))
      const cells = new Map(names.map(name => [name, cell(name, value[name])]))
      const to = join(dir, `${files++}.arrow`)
      expect(await setCells(path, to, places, cells)).toBe(true)
      const set = Object.fromEntries(names.map(name => [name, value[name]]))
      expect(await rowsIn(to)).toEqual(before.map((row, place) => (places.includes(place) ? { ...row, ...set } : row)))
      expect(await rowsIn(path)).toEqual(before)
    }),
    { numRuns: 60 },
  )
})

test('cells are set in each of the batches of a file', async () => {
  const place = pl.intRange(0, 300_000, 1, pl.Int32)
  const path = await fileOf(
    pl
      .DataFrame({ big: [0] })
      .lazy()
      .select(place.alias('small'), place.cast(pl.Utf8).alias('text'), place.cast(pl.Int64).alias('big')),
  )
  const batches = (await Array.fromAsync(ipcMessages(path))).flatMap(message =>
    message.is === 'batch' ? [message.rows] : [],
  )
  expect(batches.length).toBeGreaterThan(1)
  const [first = 0] = batches
  const places = Uint32Array.of(0, first - 1, first, first + 1, 299_999)
  const to = join(dir, `${files++}.arrow`)
  expect(await setCells(path, to, places, new Map([['big', cell('big', '-7')]]))).toBe(true)
  const isSet = pl.col('big').eq(pl.lit(-7))
  const found = (await pl.scanIPC(to).filter(isSet).collect()).toRecords()
  expect(found.map(({ small, text }) => [small, text])).toEqual([...places].map(at => [at, String(at)]))
  const others = pl.scanIPC(to).filter(isSet.not().and(pl.col('big').neq(pl.col('small'))))
  expect((await others.collect()).height).toBe(0)
})

test('where a column has nulls, or what is set is none of its values, the file is left to be written whole', async () => {
  const rows = [{ small: 1, big: '1' }, { small: 2 }]
  const columns = [
    { name: 'small', type: 'INTEGER' },
    { name: 'big', type: 'BIGINT' },
  ] as const
  const path = await fileOf(frameOf(columns, rows).lazy())
  const to = join(dir, `${files++}.arrow`)
  const set = (name: string, bytes: Buffer) => setCells(path, to, Uint32Array.of(0), new Map([[name, bytes]]))
  expect(await set('big', cell('big', '3'))).toBe(false)
  expect(await set('small', cell('big', '3'))).toBe(false)
  expect(await set('absent', cell('small', 3))).toBe(false)
  expect(await set('small', cell('small', 3))).toBe(true)
  expect([cellOf('VARCHAR', 'a'), cellOf('BOOLEAN', true)]).toEqual([null, null])
})

function cell(name: (typeof COLUMNS)[number]['name'], value: Value): Buffer {
  const column = COLUMNS.find(column => column.name === name)
  const bytes = column && value !== null ? cellOf(column.type, value) : null
  if (!bytes) throw new Error(`${name} has no cells`)
  return bytes
}
