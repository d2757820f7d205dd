import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  Bool,
  DateDay,
  Decimal,
  Dictionary,
  DurationSecond,
  Int32,
  LargeUtf8,
  makeData,
  makeVector,
  Null,
  RecordBatchStreamWriter,
  Table,
  TimestampNanosecond,
  TimestampSecond,
  tableToIPC,
  Uint64,
  Utf8,
  type Vector,
  vectorFromArray,
} from 'apache-arrow'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { faultOf } from '../../src/engine/duckdb/errors.ts'
import { literal } from '../../src/engine/duckdb/sql.ts'
import { ImportModel, refused } from './import-model.ts'

let model: ImportModel
beforeAll(async () => {
  model = await ImportModel.open()
})
afterAll(() => model[Symbol.asyncDispose]())

const FORMS = ['file', 'stream'] as const
const arrow = (content: Uint8Array, columns: Record<string, string>) =>
  model.file('parcels', { format: 'ARROW', content, columns, mode: 'REPLACE' })
const ipc = (columns: Record<string, Vector>, form: 'file' | 'stream') => tableToIPC(new Table(columns), form)

describe.each(FORMS)('an Arrow %s', form => {
  test('of every type that a table may be filled from', async () => {
    const keys = vectorFromArray([1, 2, 3], new Int32())
    const decimals = new Decimal(4, 38)
    const content = ipc(
      {
        k: keys,
        text: vectorFromArray(['a', null, ''], new LargeUtf8()),
        word: vectorFromArray(['5', null, '5'], new Dictionary(new Utf8(), new Int32())),
        big: vectorFromArray([2n ** 63n - 1n, null, 0n], new Uint64()),
        price: vectorFromArray([Uint32Array.of(12345, 0, 0, 0), null, Uint32Array.of(1, 0, 0, 0)], decimals),
        yes: vectorFromArray([true, null, false], new Bool()),
        day: vectorFromArray([new Date('2013-01-31'), null, new Date('1969-12-31')], new DateDay()),
        at: vectorFromArray([1359619200000, null, 0], new TimestampSecond('Europe/Berlin')),
        none: vectorFromArray([null, null, null], new Null()),
      },
      form,
    )
    const columns = { parcelId: 'k', label: 'text', pieces: 'word', tracking: 'big', price: 'price', fragile: 'yes' }
    await arrow(content, { ...columns, sentOn: 'day', seenAt: 'at', weight: 'none' })
    const nothing = {
      label: null,
      pieces: null,
      tracking: null,
      price: null,
      fragile: null,
      sentOn: null,
      seenAt: null,
    }
    const [first, second, third] = await model.rows('parcels')
    expect(first).toMatchObject({
      label: 'a',
      pieces: 5,
      tracking: '9223372036854775807',
      price: '1.2345',
      fragile: true,
    })
    expect(first).toMatchObject({ sentOn: '2013-01-31', seenAt: '2013-01-31T08:00:00.000000Z', weight: null })
    expect(second).toMatchObject(nothing)
    expect(third).toMatchObject({ label: '', pieces: 5, tracking: '0', price: '0.0001', fragile: false })
    expect(third).toMatchObject({ sentOn: '1969-12-31', seenAt: '1970-01-01T00:00:00.000000Z' })
  })

  test('cells that lose something are told by row', async () => {
    const content = ipc(
      {
        k: vectorFromArray([1, 2], new Int32()),
        big: vectorFromArray([2n ** 64n - 1n, 1n], new Uint64()),
        at: makeVector(makeData({ type: new TimestampNanosecond(), data: BigInt64Array.of(1_000n, 1n) })),
      },
      form,
    )
    const { code, cells } = await refused(arrow(content, { parcelId: 'k', tracking: 'big', seenAt: 'at' }))
    expect(code).toBe('BAD_VALUE')
    expect(cells.map(({ row, column }) => [row, column])).toEqual([
      [1, 'tracking'],
      [2, 'seenAt'],
    ])
  })

  test('without rows', async () => {
    const content = ipc({ k: vectorFromArray([], new Int32()) }, form)
    expect(await arrow(content, { parcelId: 'k' })).toMatchObject({ inserted: 0 })
  })

  test('of a type that cannot be read, cut short, or damaged', async () => {
    const content = ipc(
      { k: vectorFromArray([1, 2], new Int32()), d: vectorFromArray([1n, 2n], new DurationSecond()) },
      form,
    )
    const duration = await refused(arrow(content, { parcelId: 'k' }))
    expect(duration.message).toMatch(/^the Arrow file cannot be read: the column d is of type Duration/)
    const sound = ipc(
      {
        k: vectorFromArray(
          Array.from({ length: 1000 }, (_, at) => `text ${at}`),
          new Utf8(),
        ),
      },
      form,
    )
    for (const length of [20, sound.length / 2, sound.length - 30]) {
      expect((await refused(arrow(sound.subarray(0, length), { parcelId: 'k' }))).code).toBe('BAD_FILE')
    }
    const damaged = Uint8Array.from(sound)
    // the offsets of the texts, so that they run backwards
    damaged.fill(0x7f, damaged.length / 2 - 1200, damaged.length / 2 - 1100)
    expect((await refused(arrow(damaged, { parcelId: 'k' }))).code).toMatch(/^BAD_(FILE|VALUE)$/)
  })
})

test('a stream of many batches, whose dictionary changes on the way, keeps its order', async () => {
  const batches = Array.from({ length: 5 }, (_, nth) => {
    const keys = Array.from({ length: 1000 }, (_, at) => nth * 1000 + at)
    const labels = vectorFromArray(
      keys.map(key => `batch ${nth}, ${key % 7}`),
      new Dictionary(new Utf8(), new Int32(), 1),
    )
    return new Table({ k: vectorFromArray(keys, new Int32()), label: labels }).batches
  }).flat()
  const content = RecordBatchStreamWriter.writeAll(batches).toUint8Array(true)
  await arrow(content, { parcelId: 'k', label: 'label' })
  const [found] = await model.sql.all(
    `SELECT count(*) AS n, bool_and(label = format('batch {}, {}', parcelId // 1000, parcelId % 7)) AS same FROM parcels`,
  )
  expect(found).toEqual({ n: '5000', same: true })
  const error = await refused(arrow(content, { parcelId: 'k', label: 'label', pieces: 'label' }))
  expect(error.cells.map(({ row }) => row)).toEqual(Array.from({ length: 100 }, (_, at) => at + 1))
})

test('an abort ends the conversion of an Arrow file', async () => {
  const content = ipc({ k: vectorFromArray([1], new Int32()) }, 'file')
  const signal = AbortSignal.abort(new Error('enough'))
  await expect(model.file('parcels', { format: 'ARROW', content, columns: { parcelId: 'k' }, signal })).rejects.toThrow(
    'enough',
  )
})

describe('a Parquet file', () => {
  test('that is cut short or damaged', async () => {
    const path = join(model.dir, 'sound.parquet')
    await model.sql.run(`COPY (SELECT i AS k, 'text ' || hash(i) AS t FROM range(5000) r(i)) TO ${literal(path)}`)
    const sound = await readFile(path)
    const parquet = (content: Uint8Array) =>
      refused(model.file('parcels', { format: 'PARQUET', content, columns: { parcelId: 'k', label: 't' } }))
    for (const length of [4, 8, 100, sound.length / 2, sound.length - 1]) {
      expect((await parquet(sound.subarray(0, length))).code).toBe('BAD_FILE')
    }
    for (const at of [50, 1000, sound.length - 100]) {
      const damaged = Buffer.from(sound)
      damaged.fill(0xff, at, at + 64)
      expect((await parquet(damaged)).code).toBe('BAD_FILE')
    }
  })

  test('is one file, whatever its folder is called', async () => {
    const path = join(model.dir, 'weight=5 [*]?.parquet')
    await model.sql.run(`COPY (SELECT 1 AS parcelId, 'a' AS label) TO ${literal(path)}`)
    await model.sql.run(
      `COPY (SELECT 2 AS parcelId, 'b' AS label) TO ${literal(join(model.dir, 'weight=5 [*]x.parquet'))}`,
    )
    const counts = await model.from('parcels', { is: 'file', path, format: 'PARQUET' }, { mode: 'REPLACE' })
    expect(counts).toMatchObject({ inserted: 1 })
    expect(await model.rows('parcels')).toMatchObject([{ parcelId: '1', label: 'a', weight: null }])
  })
})

test.each(['PARQUET', 'ARROW', 'CSV', 'NDJSON'] as const)(
  'a %s file that is not there is no fault of the intent',
  async format => {
    const source = { is: 'file', path: join(model.dir, 'gone'), format } as const
    const error = await model.from('parcels', source).catch((error: unknown) => error)
    expect(faultOf(error)).toBe('surroundings')
  },
)
