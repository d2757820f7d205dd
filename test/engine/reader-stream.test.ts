import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { tableFromIPC } from 'apache-arrow'
import fc from 'fast-check'
import pl from 'nodejs-polars'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { seeded } from '../../src/demo/random.ts'
import type { Readers, SnapshotFiles, SnapshotReader, StreamFormat } from '../../src/engine/engine.ts'
import type { Filter, TablePlan } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { orchard, type TableRowsByName, type TestFolder, testFolder } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { contents, filterOn, runs, tableOf } from './reader-plans.ts'
import { decoded } from './stream-decoding.ts'

describe.each(engines)('$name', engine => {
  let folder: TestFolder
  let readers: Readers
  beforeAll(async () => {
    folder = await testFolder(engine)
    readers = await engine.startReaders()
  })
  afterAll(async () => {
    await readers.close()
    await folder[Symbol.asyncDispose]()
  })

  const FORMATS: readonly StreamFormat[] = ['arrow', 'csv', 'ndjson']

  const reading = async <T>(
    kind: Kind,
    rows: TableRowsByName,
    work: (reader: SnapshotReader) => Promise<T>,
  ): Promise<T> => readingFiles(kind, await folder.snapshot(kind, rows), work)

  async function readingFiles<T>(
    kind: Kind,
    files: SnapshotFiles,
    work: (reader: SnapshotReader) => Promise<T>,
  ): Promise<T> {
    const reader = await readers.open({ kind, files })
    try {
      return await work(reader)
    } finally {
      await reader.close()
    }
  }

  const bytesOf = async (reader: SnapshotReader, plan: TablePlan, format: StreamFormat): Promise<Buffer> =>
    buffer(reader.stream(plan, format))

  const rowsOf = async (reader: SnapshotReader, kind: Kind, plan: TablePlan, format: StreamFormat): Promise<Row[]> =>
    rowsIn(await bytesOf(reader, plan, format), kind, plan, format)

  function rowsIn(bytes: Buffer, kind: Kind, plan: TablePlan, format: StreamFormat): Row[] {
    const columns = kind.tables.get(plan.table)?.columns ?? new Map()
    const names = plan.columns ?? [...columns.keys()]
    return decoded(
      format,
      bytes,
      names.map(name => columns.get(name)),
    )
  }

  /** Every way in which a decimal is held, and every type with nulls and without. */
  const gauges = checkKind({
    name: 'gauges',
    description: 'What was read off',
    engines: ['DUCKDB'],
    tables: {
      readings: {
        row: 'Reading',
        description: 'One reading',
        columns: {
          readingId: 'INTEGER',
          tiny: 'DECIMAL(4,2)?',
          small: 'DECIMAL(9,0)?',
          large: 'DECIMAL(18,6)?',
          huge: 'DECIMAL(38,38)?',
          whole: 'BIGINT?',
          share: 'DOUBLE?',
          on: 'BOOLEAN?',
          day: 'DATE?',
          at: 'TIMESTAMP?',
          note: 'VARCHAR?',
          title: 'VARCHAR',
        },
        key: ['readingId'],
        writes: [],
      },
    },
  })
  const readings = gauges.tables.get('readings')

  const LONG = `${'so long that it is not in the vector itself, é'.repeat(40)}\u{1F600}`
  const none = Object.fromEntries([...(readings?.columns.keys() ?? [])].map(name => [name, null]))
  const EXTREMES: Row[] = [
    { ...none, readingId: -2147483648, title: '' },
    {
      readingId: 2147483647,
      tiny: '99.99',
      small: '999999999',
      large: '999999999999.999999',
      huge: `0.${'9'.repeat(38)}`,
      whole: '9223372036854775807',
      share: 1.7976931348623157e308,
      on: true,
      day: '9999-12-31',
      at: '9999-12-31T23:59:59.999999Z',
      note: '',
      title: 'twelve bytes',
    },
    {
      readingId: 0,
      tiny: '-99.99',
      small: '-999999999',
      large: '-0.000001',
      huge: `-0.${'9'.repeat(38)}`,
      whole: '-9223372036854775808',
      share: 5e-324,
      on: false,
      day: '0001-01-01',
      at: '0001-01-01T00:00:00.000000Z',
      note: 'thirteen byte',
      title: 'null',
    },
    {
      ...none,
      readingId: 1,
      at: '1969-12-31T23:59:59.999999Z',
      share: -0.1,
      title: LONG,
      note: ' " , \' \\ / \t\r\n\u2028\u0001\u001f ',
    },
  ]

  // Two pieces and some rows of a third; as text it is a piece for every few thousand.
  const MANY = 33_001
  /** Many rows, written once for all formats. */
  let written: Promise<{ rows: Row[]; files: SnapshotFiles }> | undefined
  async function writeMany(): Promise<{ rows: Row[]; files: SnapshotFiles }> {
    const random = seeded(7)
    const maybe = (value: Value): Value => (random.next() < 0.3 ? null : value)
    const rows = Array.from({ length: MANY }, (_, index): Row => {
      const text = LONG.slice(0, random.integer(0, 30))
      return {
        // No order of the key.
        readingId: (index * 7_919) % MANY,
        tiny: maybe((random.integer(-9999, 10_000) / 100).toFixed(2)),
        small: maybe(String(random.integer(-1e9 + 1, 1e9))),
        large: maybe((random.integer(-1e9, 1e9) / 1e6).toFixed(6)),
        huge: null,
        whole: maybe(String(BigInt(random.integer(-1e9, 1e9)) * 9_000_000_001n)),
        share: maybe(random.normal()),
        on: maybe(random.next() < 0.5),
        day: maybe(new Date(random.integer(-1e12, 1e12)).toISOString().slice(0, 10)),
        at: maybe(new Date(random.integer(-1e12, 1e12)).toISOString().replace('Z', '123Z')),
        note: maybe(text),
        title: `${text}${index}`,
      }
    })
    return { rows, files: await folder.snapshot(gauges, { readings: rows }) }
  }

  describe.each(FORMATS)('a table as %s', format => {
    test('holds every type to its ends, nulls, empty and long texts', async () => {
      await reading(gauges, { readings: EXTREMES }, async reader => {
        expect(await rowsOf(reader, gauges, { table: 'readings' }, format)).toEqual(EXTREMES)
      })
    })

    test('over many chunks and pieces is every row, in the order in which they were written, each time', async () => {
      written ??= writeMany()
      const { rows, files } = await written
      await readingFiles(gauges, files, async reader => {
        const whole: TablePlan = { table: 'readings' }
        const bytes = await bytesOf(reader, whole, format)
        expectSame(rowsIn(bytes, gauges, whole, format), rows)
        // Chunks that a filter thinned out begin and end anywhere.
        const plan: TablePlan = { table: 'readings', where: { is: 'compare', column: 'on', op: 'eq', value: true } }
        const some = await rowsOf(reader, gauges, plan, format)
        expectSame(
          some,
          rows.filter(({ on }) => on === true),
        )
        expect(bytes.equals(await bytesOf(reader, whole, format))).toBe(true)
      })
    })

    test('has no rows where none are selected or there are none', async () => {
      await reading(gauges, { readings: EXTREMES }, async reader => {
        const where = { is: 'compare', column: 'readingId', op: 'eq', value: 77 } as const
        expect(await rowsOf(reader, gauges, { table: 'readings', where }, format)).toEqual([])
      })
      await reading(gauges, {}, async reader => {
        expect(await rowsOf(reader, gauges, { table: 'readings' }, format)).toEqual([])
      })
      const empty = await readers.open({ kind: gauges, files: {} })
      expect(await rowsOf(empty, gauges, { table: 'readings' }, format)).toEqual([])
      await empty.close()
    })

    test('of a version from before the kind had a column has nulls there', async () => {
      const { columns, ...rest } = gauges.definition.tables.readings ?? { columns: {} }
      const grown = checkKind({
        ...gauges.definition,
        tables: { readings: { ...rest, columns: { ...columns, since: 'DATE?', rate: 'DECIMAL(9,2)?' } } },
      } as Parameters<typeof checkKind>[0])
      const reader = await readers.open({ kind: grown, files: await folder.snapshot(gauges, { readings: EXTREMES }) })
      const rows = EXTREMES.map(row => ({ ...row, since: null, rate: null }))
      expect(await rowsOf(reader, grown, { table: 'readings' }, format)).toEqual(rows)
      await reader.close()
    })
  })

  test('narrowed by columns and where a table is what the plan selects, as whatever', async () => {
    const table = tableOf('harvests')
    const columns = fc.shuffledSubarray([...table.columns.keys()], { minLength: 1 })
    await fc.assert(
      fc.asyncProperty(contents(orchard), filterOn(table), columns, async (rows, where, names) => {
        const plan = { table: 'harvests', columns: names, where }
        const orderBy = [...table.columns.keys()].map(column => ({ column, direction: 'ASC', nulls: 'LAST' }) as const)
        const selected = new Oracle(orchard, rows).rows({ ...plan, orderBy, limit: 1_000 })
        const narrowed = selected.map(row => Object.fromEntries(names.map(name => [name, row[name] ?? null])))
        await reading(orchard, rows, async reader => {
          for (const format of FORMATS)
            expect([format, sorted(await rowsOf(reader, orchard, plan, format))]).toEqual([format, sorted(narrowed)])
        })
      }),
      runs(8),
    )
  })

  test('rows that lists and references select are in the order in which they are stored, too', async () => {
    // Three row groups for the crowd, and more than a file of Arrow has.
    const ROWS = 300_000
    const files = await folder.filled(orchard, {
      growers: `SELECT 'g' || i AS "growerId", 'r' || i % 2 AS region FROM range(1000) AS n (i)`,
      harvests: `SELECT 'n' AS name, i AS batch, 'g' || i % 1500 AS "growerId" FROM range(${ROWS}) AS n (i)`,
    })
    const grower = { is: 'compare', column: 'region', op: 'eq', value: 'r1' } as const
    const where: Filter = {
      is: 'and',
      of: [
        { is: 'compare', column: 'batch', op: 'gte', value: 1_000 },
        { is: 'not', of: { is: 'through', as: 'grower', of: grower } },
        { is: 'in', column: 'growerId', values: ['g1', 'g2', 'g4'], negated: true },
      ],
    }
    const selects = (row: number) =>
      row >= 1_000 && !(row % 1500 < 1000 && row % 2 === 1) && ![2, 4].includes(row % 1500)
    const expected = Array.from({ length: ROWS }, (_, row) => row).filter(selects)
    const plan = { table: 'harvests', columns: ['batch'], where }
    const crowd = await engine.startReaders({ threads: 8 })
    const reader = await crowd.open({ kind: orchard, files })
    const path = join(folder.path, 'ordered.parquet')
    await reader.exportParquet(plan, path)
    const found: [string, unknown[]][] = [['parquet', pl.readParquet(path).getColumn('batch').toArray()]]
    for (const format of FORMATS)
      found.push([format, (await rowsOf(reader, orchard, plan, format)).map(({ batch }) => batch)])
    for (const [format, batches] of found)
      expect([format, batches.length, batches.findIndex((batch, row) => batch !== expected[row])]).toEqual([
        format,
        expected.length,
        -1,
      ])
    await crowd.close()
  })

  test('Arrow has the types of the columns, and says which may be null', async () => {
    const bytes = await reading(gauges, { readings: EXTREMES }, reader =>
      bytesOf(reader, { table: 'readings' }, 'arrow'),
    )
    const fields = tableFromIPC(bytes).schema.fields.map(({ name, type, nullable }) => [name, String(type), nullable])
    expect(fields).toEqual([
      ['readingId', 'Int32', false],
      ['tiny', 'Decimal[4e+2]', true],
      ['small', 'Decimal[9e0]', true],
      ['large', 'Decimal[18e+6]', true],
      ['huge', 'Decimal[38e+38]', true],
      ['whole', 'Int64', true],
      ['share', 'Float64', true],
      ['on', 'Bool', true],
      ['day', 'Date32<DAY>', true],
      ['at', 'Timestamp<MICROSECOND, UTC>', true],
      ['note', 'Utf8', true],
      ['title', 'Utf8', false],
    ])
  })

  test('Polars reads the Arrow, too', async () => {
    const bytes = await reading(gauges, { readings: EXTREMES }, reader =>
      bytesOf(reader, { table: 'readings' }, 'arrow'),
    )
    const frame = pl.readIPCStream(bytes)
    expect(frame.shape).toEqual({ height: EXTREMES.length, width: 12 })
    expect(frame.schema.at).toEqual(pl.Datetime('us', 'UTC'))
    expect(frame.schema.large).toEqual(pl.Decimal(18, 6))
    for (const name of ['readingId', 'share', 'on', 'note', 'title'])
      expect([name, frame.getColumn(name).toArray()]).toEqual([name, EXTREMES.map(row => row[name])])
    const texts = frame.select(...['large', 'huge', 'whole', 'day'].map(name => pl.col(name).cast(pl.Utf8)))
    for (const name of ['large', 'huge', 'whole', 'day'])
      expect([name, texts.getColumn(name).toArray()]).toEqual([name, EXTREMES.map(row => row[name])])
  })

  const sorted = (rows: readonly Row[]): string[] => rows.map(row => JSON.stringify(row)).sort()

  /** Row by row: what differs is then told in a line, and what does not is seen at once. */
  function expectSame(found: readonly Row[], expected: readonly Row[]): void {
    expect(found).toHaveLength(expected.length)
    for (const [index, row] of expected.entries()) {
      const other = found[index]
      const names = Object.keys(row)
      const isSame =
        Object.keys(other ?? {}).length === names.length && names.every(name => Object.is(other?.[name], row[name]))
      if (!isSame) expect(other).toEqual(row)
    }
  }
})
