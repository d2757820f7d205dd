import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { SnapshotReader, StreamFormat } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { AskedQueries, BOUNDS, codeOf, sql } from './asked-queries.ts'
import { duckdb, engines } from './engines.ts'
import { orchard } from './reader-model.ts'

describe.each(engines)('$name', engine => {
  let asked: AskedQueries
  beforeAll(async () => {
    asked = await AskedQueries.open(engine)
  })
  afterAll(() => asked[Symbol.asyncDispose]())

  test('a SELECT finds the tables by their names, and its parameters by their numbers', async () => {
    const found = await asked.ask(
      'SELECT growerId, since FROM growers WHERE growerId > $1 AND since < $2 ORDER BY 1 LIMIT $3',
      ['a', '2024-01-03', 5],
    )
    expect(found).toMatchObject({
      columns: [
        { name: 'growerId', type: 'VARCHAR' },
        { name: 'since', type: 'DATE' },
      ],
      values: [['b', '2024-01-02']],
      rows: 1,
    })
    expect(
      await asked.valuesOf('FROM growers SELECT count(*) WHERE list_contains($1, growerId)', [['a', 'c']]),
    ).toEqual([['2']])
    expect(await asked.valuesOf('SELECT $1, $1 IS NULL, $2 + 1', [null, 1.5])).toEqual([[null, true, 2.5]])
    expect(await asked.valuesOf('SELECT ? || ?', ['x', 'y'])).toEqual([['xy']])
  })

  test('what is no logical type is answered as what holds all of it', async () => {
    const { columns, values } = await asked.ask(`SELECT 12345678901234567890123456789::HUGEINT AS h,
    INTERVAL 1 DAY, 'a'::BLOB, [1, NULL], {'a': 1.50, 'b': 12345678901234567890}, MAP {'k': DATE '2024-01-01'},
    TIMESTAMPTZ '2024-01-01 00:00:00+01', 0.5::FLOAT, NULL, 'x'::ENUM('x'), 18446744073709551615::UBIGINT,
    TIME '10:00', 1::TINYINT, '{"j": [1.0]}'::JSON, sum(since - since) FROM growers GROUP BY ALL LIMIT 1`)
    expect(columns.map(({ type }) => type)).toEqual([
      'HUGEINT',
      'INTERVAL',
      'BLOB',
      'INTEGER[]',
      'STRUCT("a" DECIMAL(3,2), "b" HUGEINT)',
      'MAP(VARCHAR, DATE)',
      'TIMESTAMP WITH TIME ZONE',
      'FLOAT',
      'INTEGER',
      "ENUM('x')",
      'UBIGINT',
      'TIME',
      'TINYINT',
      'JSON',
      'HUGEINT',
    ])
    expect(values).toEqual([
      [
        '12345678901234567890123456789',
        '1 day',
        'YQ==',
        [1, null],
        { a: 1.5, b: '12345678901234567890' },
        { k: '2024-01-01' },
        '2023-12-31T23:00:00.000000Z',
        0.5,
        null,
        'x',
        '18446744073709551615',
        '10:00:00',
        1,
        { j: [1] },
        '0',
      ],
    ])
  })

  test('a statement ends where it ends, whatever its texts and comments look like', async () => {
    expect(await asked.valuesOf("SELECT ';--', '/*', ');' AS \"a;--\";\n ; ")).toEqual([[';--', '/*', ');']])
    expect(await asked.valuesOf('SELECT 1 -- one;')).toEqual([[1]])
    expect(await asked.valuesOf('SELECT 1; -- done')).toEqual([[1]])
    expect(await asked.valuesOf("SELECT '; -- done'; /* ; */ ; --")).toEqual([['; -- done']])
    expect(await asked.valuesOf('SELECT 1 -- ; /*\n, 2')).toEqual([[1, 2]])
    expect(await asked.valuesOf('/* ; */ SELECT 2 /* ) */')).toEqual([[2]])
    expect(await asked.valuesOf("SELECT $$;--'$$, E'\\';--'")).toEqual([[";--'", "';--"]])
    expect(await codeOf(asked.ask(`SELECT ';--' UNION ALL SELECT 1) TO '/tmp/x' --`))).toBe('BAD_VALUE')
  })

  test('columns of the same name are told apart, in any case of letters', async () => {
    expect((await asked.ask('SELECT 1 AS a, 2 AS "A", 3 AS a')).columns.map(({ name }) => name)).toEqual([
      'a',
      'A_1',
      'a_2',
    ])
  })

  test('an order is kept, and rows come as often as they are there', async () => {
    const { values } = await asked.ask('SELECT i FROM range(1000) t(i) ORDER BY hash(i), i')
    const again = await asked.ask('SELECT i, hash(i) AS h FROM range(1000) t(i) ORDER BY h, i')
    expect(values.map(([i]) => i)).toEqual(again.values.map(([i]) => i))
  })

  test('the empty version, and one from before the kind had a column, are read as the kind is today', async () => {
    const empty = await asked.readers.open({ kind: orchard, files: {} })
    const { growers, plots } = orchard.definition.tables
    if (!growers || !plots) throw new Error('no tables')
    const tables = { growers: { ...growers, columns: { growerId: 'VARCHAR', region: 'VARCHAR?' } }, plots } as const
    const was = checkKind({ ...orchard.definition, queries: {}, tables })
    const older = await asked.readers.open({
      kind: orchard,
      files: await asked.folder.snapshot(was, { growers: [{ growerId: 'old', region: 'south' }] }),
    })
    const of = async (from: SnapshotReader, statement: string) => {
      const path = asked.target()
      const result = await from.run(sql(statement), path, BOUNDS)
      return asked.readers.resultRows({ path, ...result }, { offset: 0, limit: 10 })
    }
    expect(await of(empty, 'SELECT * FROM growers')).toEqual([])
    expect(await of(older, 'SELECT growerId, since, (SELECT count(*) FROM harvests) FROM growers')).toEqual([
      ['old', null, '0'],
    ])
    expect(await codeOf(older.run(sql('SELECT * FROM _teatree.state'), asked.target(), BOUNDS))).toBe('ACCESS_DENIED')
    await empty.close()
    await older.close()
  })

  test('a result comes in every format', async () => {
    const statement = `SELECT growerId AS "a,b", since, {'x': growerId} AS nested, NULL AS nothing, 1.50 AS n, 7::HUGEINT AS h
    FROM growers ORDER BY 1 LIMIT 2`
    const result = await asked.ask(statement)
    const streamed = async (format: StreamFormat) => {
      const pieces: Uint8Array[] = []
      for await (const piece of asked.readers.streamResult(result, format)) pieces.push(piece)
      return Buffer.concat(pieces)
    }
    expect((await streamed('csv')).toString()).toBe(
      '"a,b",since,nested,nothing,n,h\na,2024-01-01,"{""x"":""a""}",,1.50,7\nb,2024-01-02,"{""x"":""b""}",,1.50,7\n',
    )
    expect((await streamed('ndjson')).toString()).toBe(
      ['a', 'b']
        .map(
          (id, i) =>
            `{"a,b":"${id}","since":"2024-01-0${i + 1}","nested":{"x":"${id}"},"nothing":null,"n":"1.50","h":"7"}\n`,
        )
        .join(''),
    )
    expect((await streamed('arrow')).length).toBeGreaterThan(100)
  })

  test.runIf(engine === duckdb)(
    'what would not do in an answer is refused: by its columns, its values, its texts, and what has parts',
    async () => {
      const columns = (count: number, value: string) => Array.from({ length: count }, () => `${value} AS c`).join(', ')
      const page = async (statement: string, limit = 1000) => {
        const path = asked.target()
        const result = await asked.reader.run(sql(statement), path, { ...BOUNDS, bytes: 64 << 20 })
        return (await asked.readers.resultRows({ path, ...result }, { offset: 0, limit })).length
      }
      expect(await codeOf(page(`SELECT ${columns(1001, '1')}`))).toBe('RESULT_TOO_LARGE')
      expect(await page(`SELECT ${columns(1000, 'i')} FROM range(200) t(i)`)).toBe(200)
      const wide = `SELECT ${columns(201, 'i')} FROM range(1000) t(i)`
      expect(await codeOf(page(wide))).toBe('RESULT_TOO_LARGE')
      expect(await page(wide, 900)).toBe(900)
      expect(await codeOf(page("SELECT repeat('x', 50000) FROM range(100)"))).toBe('RESULT_TOO_LARGE')
      expect(await codeOf(page("SELECT [repeat('x', 50000)] FROM range(30)"))).toBe('RESULT_TOO_LARGE')
      expect(await page("SELECT repeat('x', 50000), [repeat('x', 10000)] FROM range(50)")).toBe(50)
    },
  )
})
