import { open, readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { ownMemory } from '../../src/engine/duckdb/queries/process-memory.ts'
import { QueryProcess } from '../../src/engine/duckdb/queries/query-process.ts'
import type { QueryBounds, QueryWork, Readers, SnapshotReader, StreamFormat } from '../../src/engine/engine.ts'
import { SnapshotDamaged } from '../../src/engine/snapshot-damaged.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { duckdb, engines } from './engines.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

const MEMORY = 256 << 20
const BOUNDS: QueryBounds = { seconds: 60, rows: 1000, bytes: 1 << 20 }
/** For what comes about however busy the machine is. */
const LATER = { timeout: 30_000 }
const EMPTY = 'SELECT count(*) FROM growers'

// The processes are one engine's as the other's: what becomes of them is tried with one.
describe.each(engines)('$name', engine => {
  let folder: TestFolder
  let readers: Readers
  let reader: SnapshotReader
  beforeAll(async () => {
    vi.stubEnv('ORCHARD_SECRET', 'quince')
    folder = await testFolder(engine)
    readers = await engine.startReaders({}, { memoryBytes: MEMORY, folder: join(folder.path, 'queries'), ready: 1 })
    const growers = ['a', 'b', 'c'].map((growerId, index) => ({
      growerId,
      region: 'north',
      since: `2024-01-0${index + 1}`,
    }))
    reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, { growers }) })
  })
  afterAll(async () => {
    vi.unstubAllEnvs()
    await reader.close()
    await readers.close()
    expect(await readdir(join(folder.path, 'queries')), 'processes leave nothing behind').toEqual([])
    await folder[Symbol.asyncDispose]()
  })

  const target = () => join(folder.path, `${crypto.randomUUID()}.parquet`)
  const sql = (statement: string, params: readonly unknown[] = []): QueryWork => ({ is: 'sql', statement, params })

  async function ask(statement: string, params: readonly unknown[] = [], bounds: Partial<QueryBounds> = {}) {
    const path = target()
    const result = await reader.run(sql(statement, params), path, { ...BOUNDS, ...bounds })
    return { ...result, path, values: await readers.resultRows({ path, ...result }, { offset: 0, limit: 1000 }) }
  }
  const valuesOf = async (statement: string, params?: readonly unknown[]) => (await ask(statement, params)).values

  async function codeOf(asking: Promise<unknown>): Promise<string> {
    try {
      await asking
      return 'done'
    } catch (error) {
      return error instanceof TeatreeError ? error.code : `${error}`
    }
  }

  /** Ids of the processes that run queries, or are ready to. */
  async function processes(): Promise<number[]> {
    const found: number[] = []
    for (const pid of (await readdir('/proc')).filter(name => /^\d+$/.test(name))) {
      const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
      if (command.includes('query-program') && command.includes(folder.path)) found.push(Number(pid))
    }
    return found
  }

  test('a SELECT finds the tables by their names, and its parameters by their numbers', async () => {
    const found = await ask(
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
    expect(await valuesOf('FROM growers SELECT count(*) WHERE list_contains($1, growerId)', [['a', 'c']])).toEqual([
      ['2'],
    ])
    expect(await valuesOf('SELECT $1, $1 IS NULL, $2 + 1', [null, 1.5])).toEqual([[null, true, 2.5]])
    expect(await valuesOf('SELECT ? || ?', ['x', 'y'])).toEqual([['xy']])
  })

  test('what is no logical type is answered as what holds all of it', async () => {
    const { columns, values } = await ask(`SELECT 12345678901234567890123456789::HUGEINT AS h,
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
    expect(await valuesOf("SELECT ';--', '/*', ');' AS \"a;--\";\n ; ")).toEqual([[';--', '/*', ');']])
    expect(await valuesOf('SELECT 1 -- one;')).toEqual([[1]])
    expect(await valuesOf('SELECT 1; -- done')).toEqual([[1]])
    expect(await valuesOf("SELECT '; -- done'; /* ; */ ; --")).toEqual([['; -- done']])
    expect(await valuesOf('SELECT 1 -- ; /*\n, 2')).toEqual([[1, 2]])
    expect(await valuesOf('/* ; */ SELECT 2 /* ) */')).toEqual([[2]])
    expect(await valuesOf("SELECT $$;--'$$, E'\\';--'")).toEqual([[";--'", "';--"]])
    expect(await codeOf(ask(`SELECT ';--' UNION ALL SELECT 1) TO '/tmp/x' --`))).toBe('BAD_VALUE')
  })

  test('columns of the same name are told apart, in any case of letters', async () => {
    expect((await ask('SELECT 1 AS a, 2 AS "A", 3 AS a')).columns.map(({ name }) => name)).toEqual(['a', 'A_1', 'a_2'])
  })

  test('an order is kept, and rows come as often as they are there', async () => {
    const { values } = await ask('SELECT i FROM range(1000) t(i) ORDER BY hash(i), i')
    const again = await ask('SELECT i, hash(i) AS h FROM range(1000) t(i) ORDER BY h, i')
    expect(values.map(([i]) => i)).toEqual(again.values.map(([i]) => i))
  })

  /** What each says of itself is refused; by code. */
  const REFUSED: Record<string, readonly string[]> = {
    STATEMENT_NOT_ALLOWED: [
      '',
      ' -- nothing',
      'SELECT 1; SELECT 2',
      'SELECT 1; DROP TABLE growers',
      "INSERT INTO growers VALUES ('x', NULL, NULL)",
      'UPDATE growers SET region = NULL',
      'DELETE FROM growers',
      'DROP TABLE growers',
      'CREATE TEMP TABLE x AS SELECT 1',
      'CREATE MACRO f() AS 1',
      "COPY growers TO '/tmp/x'",
      "COPY (SELECT 1) TO '/tmp/x'",
      "EXPORT DATABASE '/tmp/x'",
      "ATTACH '/tmp/x' AS x",
      'DETACH snapshot',
      "INSTALL 'httpfs'",
      "LOAD 'httpfs'",
      'SET threads = 1',
      'RESET threads',
      'PRAGMA database_list',
      'PRAGMA enable_profiling',
      'EXPLAIN SELECT 1',
      'EXPLAIN ANALYZE SELECT 1',
      'DESCRIBE growers',
      'SUMMARIZE growers',
      'SHOW TABLES',
      'SELECT * FROM (DESCRIBE growers)',
      'BEGIN',
      'CHECKPOINT',
      'VACUUM',
      'USE memory.main',
      'CALL pragma_version()',
      'PREPARE p AS SELECT 1',
      'PIVOT growers ON region USING count(*)',
    ],
    ACCESS_DENIED: [
      "SELECT * FROM '/etc/passwd'",
      "SELECT * FROM 'x.csv'",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SELECT * FROM read_text('/etc/passwd')",
      "SELECT * FROM read_blob('x')",
      "SELECT * FROM read_parquet('x.parquet')",
      "SELECT * FROM parquet_metadata('x.parquet')",
      "SELECT * FROM read_json('x')",
      "SELECT * FROM sniff_csv('x')",
      "SELECT * FROM glob('*')",
      'SELECT * FROM duckdb_settings()',
      'SELECT * FROM duckdb_secrets()',
      'SELECT * FROM duckdb_databases',
      "SELECT * FROM which_secret('x', 's3')",
      'SELECT * FROM information_schema.tables',
      'SELECT * FROM pg_catalog.pg_class',
      'SELECT * FROM pg_class',
      'SELECT * FROM sqlite_master',
      'SELECT * FROM _teatree.state',
      'SELECT * FROM snapshot.main.growers',
      'SELECT * FROM main.growers',
      "SELECT * FROM query('SELECT 1')",
      "SELECT * FROM query_table('growers')",
      "SELECT * FROM json_execute_serialized_sql('{}')",
      "SELECT getenv('ORCHARD_SECRET')",
      "SELECT current_setting('threads')",
      "SELECT getvariable('x')",
      'SELECT version()',
      'SELECT setseed(0.5)',
      'SELECT sleep_ms(1)',
      "SELECT write_log('x')",
      "SELECT json_serialize_plan('SELECT 1')",
      'WITH duckdb_tables AS (SELECT 1) SELECT * FROM duckdb_tables',
      "WITH x AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM x",
      "SELECT (SELECT content FROM read_text('/etc/passwd'))",
      "SELECT list_transform([1], x -> current_setting('threads'))",
      "SELECT 1 ORDER BY getenv('HOME')",
      "SELECT * FROM growers JOIN read_text('/etc/passwd') ON true",
      "SELECT * FROM growers WHERE region IN (SELECT content FROM read_text('/etc/passwd'))",
      "SELECT 1 UNION ALL SELECT current_setting('threads')",
      "SELECT ('threads').current_setting()",
    ],
    BAD_VALUE: [
      'SELEC 1',
      'SELECT',
      'SELECT nosuch FROM growers',
      'SELECT * FROM nosuch',
      'SELECT nosuch(1)',
      "SELECT 'x'::INTEGER",
      'SELECT region::INTEGER FROM growers',
      'SELECT 9223372036854775807 + 1',
      'SELECT $1',
      'SELECT $name',
      "SELECT error('no')",
      "SELECT error('No space left on device')",
      "SELECT error('IO Error: Disk quota exceeded')",
      "SELECT error('std::bad_alloc')",
      "SELECT nosuch FROM growers WHERE region = 'bad alloc'",
      "SELECT error('disabled by configuration')",
      'SELECT 1 \0',
      `SELECT ${'NOT '.repeat(20_000)}true`,
      `SELECT ${'['.repeat(40_000)}1${']'.repeat(40_000)}`,
      `SELECT ${'(SELECT '.repeat(10_000)}1${')'.repeat(10_000)}`,
      `SELECT '${'x'.repeat(100_000)}'`,
    ],
  }
  for (const [code, statements] of Object.entries(REFUSED)) {
    test(`${code} is what is answered to`, async () => {
      for (const statement of statements) {
        expect(await codeOf(ask(statement)), statement.slice(0, 100)).toBe(code)
        // What computing alone shows is not looked for when a run is taken on.
        if (code !== 'BAD_VALUE') expect(await codeOf(reader.check(sql(statement), 60)), statement).toBe(code)
      }
      expect(await codeOf(ask('SELECT 1', [1])), 'a value for no parameter').toBe('BAD_VALUE')
    })
  }

  test('of what DuckDB brings, nothing that reads files, settings or the catalogue is allowed', async () => {
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    const names = async (text: string) =>
      (await connection.runAndReadAll(text)).getRowsJson().map(([name]) => String(name))
    const functions = await names(
      `SELECT DISTINCT function_name FROM duckdb_functions() WHERE function_type IN ('table', 'table_macro', 'pragma')`,
    )
    const views = await names(
      'SELECT DISTINCT view_name FROM duckdb_views() WHERE internal AND schema_name <> $$information_schema$$',
    )
    connection.closeSync()
    instance.closeSync()
    const values = ['range', 'generate_series', 'unnest', 'repeat', 'repeat_row', 'json_each', 'json_tree']
    expect(functions.length).toBeGreaterThan(80)
    expect(views.length).toBeGreaterThan(30)
    for (const name of functions.filter(name => !values.includes(name)))
      expect(await codeOf(ask(`SELECT * FROM "${name}"()`)), name).toBe('ACCESS_DENIED')
    for (const name of views) expect(await codeOf(ask(`SELECT * FROM ${name}`)), name).toBe('ACCESS_DENIED')
  })

  test.runIf(engine === duckdb)('a process has no secrets, and no more than its folder', async () => {
    await ask('SELECT 1')
    const pids = await processes()
    expect(pids.length).toBeGreaterThan(0)
    for (const pid of pids) {
      const environment = await readFile(`/proc/${pid}/environ`, 'utf8')
      expect(environment).not.toContain('quince')
      expect(environment.split('\0').map(entry => entry.split('=')[0])).not.toContain('HOME')
      expect(await readFile(`/proc/${pid}/limits`, 'utf8')).not.toMatch(/^Max data size +unlimited/m)
    }
  })

  test.runIf(engine === duckdb)(
    'what is past a bound is ended by its own code, and the next finds a process',
    async () => {
      const forever = 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1'
      expect(await codeOf(ask(forever, [], { seconds: 1 }))).toBe('QUERY_TIMEOUT')
      expect(await codeOf(ask('SELECT i, count(*) FROM range(10000000000) t(i) GROUP BY i'))).toBe(
        'QUERY_TOO_EXPENSIVE',
      )
      // DuckDB's own limit knows nothing of this one: the system's does.
      expect(await codeOf(ask('SELECT list_sum(range(2000000000))'))).toBe('QUERY_TOO_EXPENSIVE')
      expect(await codeOf(ask('SELECT * FROM range(1001)'))).toBe('RESULT_TOO_LARGE')
      expect(
        await codeOf(ask('SELECT md5(i::VARCHAR || j) FROM range(1000) t(i), range(1) s(j)', [], { bytes: 10_000 })),
      ).toBe('RESULT_TOO_LARGE')
      // Next to nothing in the file.
      expect(await codeOf(ask("SELECT repeat('x', 10000) FROM range(1000)"))).toBe('RESULT_TOO_LARGE')
      expect(await valuesOf(EMPTY)).toEqual([['3']])
    },
  )

  test.runIf(engine === duckdb)('what a large query leaves in memory does not count against the next', async () => {
    const large = 'SELECT count(*) FROM (SELECT DISTINCT md5(i::VARCHAR) FROM range(1500000) t(i))'
    expect(await valuesOf(large)).toEqual([['1500000']])
    await vi.waitFor(async () => {
      for (const pid of await processes()) {
        expect(await ownMemory(Number(pid))).toBeLessThan((48 << 20) + MEMORY / 2)
      }
    }, LATER)
  })

  test.runIf(engine === duckdb)(
    'a version whose file is damaged is told from a fault, and its process is asked nothing more',
    async () => {
      const files = await folder.database(orchard, db =>
        db.run(`INSERT INTO growers SELECT md5(i::VARCHAR), md5(hash(i)::VARCHAR), NULL FROM range(100000) t(i)`),
      )
      const damaged = await readers.open({ kind: orchard, files })
      await expect(damaged.run(sql('SELECT count(*) FROM growers'), target(), BOUNDS)).resolves.toBeDefined()
      const before = await processes()
      const [path = ''] = Object.values(files)
      await using file = await open(path, 'r+')
      const { size } = await file.stat()
      for (let at = 12_288 + 1000; at < size - 262_144; at += 262_144) await file.write('damaged', at)
      const reading = damaged.run(sql('SELECT max(region || growerId) FROM growers'), target(), BOUNDS)
      await expect(reading).rejects.toBeInstanceOf(SnapshotDamaged)
      await vi.waitFor(async () => expect(await processes()).not.toEqual(expect.arrayContaining(before)), LATER)
      await damaged.close()
    },
  )

  test.runIf(engine === duckdb)('nobody waits any more: what is under way ends, and others do not', async () => {
    const leaving = new AbortController()
    const forever = sql('SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1')
    const [left, stays] = [target(), target()]
    const running = reader.run(forever, left, BOUNDS, leaving.signal).catch(error => error)
    const other = reader.run(sql('SELECT sum(hash(i) % 100) FROM range(20000000) t(i)'), stays, BOUNDS)
    const before = await vi.waitFor(async () => {
      const found = await processes()
      expect(found.length).toBeGreaterThanOrEqual(2)
      return found
    }, LATER)
    const reason = new Error('gone')
    leaving.abort(reason)
    expect(await running).toBe(reason)
    // It is dead when that is told: the version may go.
    const after = await processes()
    expect(before.filter(pid => !after.includes(pid))).toHaveLength(1)
    expect((await other).rows).toBe(1)
    await expect(stat(left)).rejects.toThrow('ENOENT')
  })

  test.runIf(engine === duckdb)('a process that is killed from outside takes its own query with it alone', async () => {
    const forever = sql('SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1')
    const ticksOf = async (id: number) => Number((await readFile(`/proc/${id}/stat`, 'utf8')).split(' ')[13])
    const before = new Map<number, number>()
    for (const id of await processes()) before.set(id, await ticksOf(id))
    const running = codeOf(reader.run(forever, target(), BOUNDS))
    // The one that works: another may have worked before.
    const pid = await vi.waitFor(async () => {
      for (const id of await processes()) if ((await ticksOf(id)) > 100 + (before.get(id) ?? 0)) return id
      throw new Error('none works yet')
    }, LATER)
    const other = valuesOf('SELECT count(*) FROM growers')
    process.kill(pid, 'SIGKILL')
    expect(await running).toBe('QUERY_TOO_EXPENSIVE')
    expect(await other).toEqual([['3']])
  })

  test.runIf(engine === duckdb)(
    'a process that is killed when its result is done, and not yet taken, says why there is none',
    async () => {
      const own = join(folder.path, 'own')
      const one = new QueryProcess(own, { memoryBytes: MEMORY, threads: 1, kindsDir: undefined })
      const snapshot = { kind: orchard.name, shape: orchard.shape, tables: [], files: {} }
      const job = { snapshot, reads: [], work: sql('SELECT 1'), checkOnly: false, rows: 1, bytes: 1 << 20 }
      expect(await one.run(job, 60, undefined)).toMatchObject({ rows: 1 })
      process.kill(one.pid ?? 0, 'SIGKILL')
      await vi.waitFor(() => expect(stat(own)).rejects.toThrow('ENOENT'), LATER)
      expect(await codeOf(one.take(target()))).toBe('QUERY_TOO_EXPENSIVE')
      await one.close()
    },
  )

  test('the empty version, and one from before the kind had a column, are read as the kind is today', async () => {
    const empty = await readers.open({ kind: orchard, files: {} })
    const { growers, plots } = orchard.definition.tables
    if (!growers || !plots) throw new Error('no tables')
    const tables = { growers: { ...growers, columns: { growerId: 'VARCHAR', region: 'VARCHAR?' } }, plots } as const
    const was = checkKind({ ...orchard.definition, queries: {}, tables })
    const older = await readers.open({
      kind: orchard,
      files: await folder.snapshot(was, { growers: [{ growerId: 'old', region: 'south' }] }),
    })
    const of = async (from: SnapshotReader, statement: string) => {
      const path = target()
      const result = await from.run(sql(statement), path, BOUNDS)
      return readers.resultRows({ path, ...result }, { offset: 0, limit: 10 })
    }
    expect(await of(empty, 'SELECT * FROM growers')).toEqual([])
    expect(await of(older, 'SELECT growerId, since, (SELECT count(*) FROM harvests) FROM growers')).toEqual([
      ['old', null, '0'],
    ])
    expect(await codeOf(older.run(sql('SELECT * FROM _teatree.state'), target(), BOUNDS))).toBe('ACCESS_DENIED')
    await empty.close()
    await older.close()
  })

  test('a result comes in every format', async () => {
    const statement = `SELECT growerId AS "a,b", since, {'x': growerId} AS nested, NULL AS nothing, 1.50 AS n, 7::HUGEINT AS h
    FROM growers ORDER BY 1 LIMIT 2`
    const result = await ask(statement)
    const streamed = async (format: StreamFormat) => {
      const pieces: Uint8Array[] = []
      for await (const piece of readers.streamResult(result, format)) pieces.push(piece)
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
        const path = target()
        const result = await reader.run(sql(statement), path, { ...BOUNDS, bytes: 64 << 20 })
        return (await readers.resultRows({ path, ...result }, { offset: 0, limit })).length
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
