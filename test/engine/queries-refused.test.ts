import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AskedQueries, codeOf, sql } from './asked-queries.ts'
import { engines } from './engines.ts'

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

describe.each(engines)('$name', engine => {
  let asked: AskedQueries
  beforeAll(async () => {
    asked = await AskedQueries.open(engine)
  })
  afterAll(() => asked[Symbol.asyncDispose]())

  for (const [code, statements] of Object.entries(REFUSED)) {
    test(`${code} is what is answered to`, async () => {
      for (const statement of statements) {
        expect(await codeOf(asked.ask(statement)), statement.slice(0, 100)).toBe(code)
        // What computing alone shows is not looked for when a run is taken on.
        if (code !== 'BAD_VALUE') expect(await codeOf(asked.reader.check(sql(statement), 60)), statement).toBe(code)
      }
      expect(await codeOf(asked.ask('SELECT 1', [1])), 'a value for no parameter').toBe('BAD_VALUE')
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
      expect(await codeOf(asked.ask(`SELECT * FROM "${name}"()`)), name).toBe('ACCESS_DENIED')
    for (const name of views) expect(await codeOf(asked.ask(`SELECT * FROM ${name}`)), name).toBe('ACCESS_DENIED')
  })
})
