import { createHash } from 'node:crypto'
import { readFile, rm, stat } from 'node:fs/promises'
import { DuckDBInstance } from '@duckdb/node-api'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { manifestDigest } from '../../src/engine/blocks.ts'
import { databaseOf } from '../../src/engine/duckdb/database.ts'
import { blockManifest, cloned } from '../../src/engine/duckdb/snapshot-files.ts'
import { DuckDBSql, literal } from '../../src/engine/duckdb/sql.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { arg, defineFunction, defineKind } from '../../src/kinds/index.ts'
import { resultOf, WriterModel } from './writer-model.ts'

/** A kind whose one function does whatever it is told to its table, so that a plain database can be told the same. */
const heap = checkKind(
  defineKind({
    name: 'heap',
    description: 'Things in a heap',
    engines: ['DUCKDB'],
    tables: {
      things: {
        row: 'Thing',
        description: 'Things',
        columns: { thing: 'BIGINT', weight: 'DOUBLE?', label: 'VARCHAR?' },
        key: ['thing'],
        writes: ['append', 'upsert', 'update', 'delete', 'import'],
      },
    },
    functions: {
      shovel: defineFunction({
        description: 'Runs a statement',
        arguments: { statement: arg.varchar() },
        result: { name: 'Shovelled', description: 'How many things there are', columns: { things: 'BIGINT' } },
        engines: {
          DUCKDB: async ({ args, sql }) => {
            await sql.run(String(args.statement))
            const [row] = await sql.all('SELECT count(*) AS things FROM things')
            return { things: row?.things ?? '0' }
          },
        },
      }),
    },
  }),
)

const values = (from: string) =>
  `SELECT i, (hash(i) % 1000003)::DOUBLE / 7, CASE WHEN i % 3 = 0 THEN NULL ELSE 'thing ' || hash(i + 1) END FROM ${from}`
const many = (rows: number, start: string) =>
  `INSERT INTO things ${values(`range((${start})::BIGINT, (${start})::BIGINT + ${rows}) r (i)`)}`
const NEXT = '(SELECT coalesce(max(thing), 0) + 1 FROM things)'

/** What changes little, what changes much, and what puts the same bytes elsewhere; `n` makes each time another. */
const OPERATIONS: Record<string, (n: number) => string> = {
  'a few rows more': n => many(1 + (n % 20), NEXT),
  'a thousand rows more': () => many(1000, NEXT),
  'more rows than a row group, which bypass the WAL': () => many(130_000, NEXT),
  'rows here and there changed': n => `UPDATE things SET weight = weight + ${n} WHERE hash(thing) % 997 = ${n % 997}`,
  'a column changed everywhere': n => `UPDATE things SET weight = weight + ${n}`,
  'rows here and there gone': n => `DELETE FROM things WHERE hash(thing) % 101 = ${n % 101}`,
  'a range gone': n => `DELETE FROM things WHERE thing % 300000 BETWEEN ${n * 100} AND ${n * 100 + 20_000}`,
  'two values that change places': n => `UPDATE things SET weight = CASE WHEN thing % 2 = 0
    THEN (thing + ${n % 2})::DOUBLE ELSE (thing - ${n % 2})::DOUBLE END`,
  'all rows in another order': n => `CREATE OR REPLACE TEMP TABLE pile AS FROM things ORDER BY hash(thing + ${n});
    DELETE FROM things; INSERT INTO things FROM pile`,
  'all gone': () => 'DELETE FROM things',
}

const digest = async (sql: DuckDBSql, table: string) =>
  (await sql.all(`SELECT count(*) AS rows, sum(hash(t)::HUGEINT) AS sum, bit_xor(hash(t)) AS bits FROM ${table} t`))[0]

async function memory() {
  const instance = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await instance.connect()
  const close = () => {
    connection.closeSync()
    instance.closeSync()
  }
  return { sql: new DuckDBSql(connection), [Symbol.dispose]: close }
}

const someOperations = fc.array(
  fc.tuple(
    fc.oneof(
      {
        weight: 6,
        arbitrary: fc.constantFrom('a few rows more', 'a thousand rows more', 'rows here and there changed'),
      },
      { weight: 3, arbitrary: fc.constantFrom(...Object.keys(OPERATIONS).filter(name => name !== 'all gone')) },
      { weight: 1, arbitrary: fc.constantFrom('all gone', 'more rows than a row group, which bypass the WAL') },
    ),
    fc.nat({ max: 1000 }),
    fc.boolean(),
  ),
  { minLength: 110, maxLength: 130, size: 'max' },
)

test('every version is, query for query, the state that was published, however it came to be a file', async () => {
  const seen = { wals: 0, bases: 0, patched: 0, clones: false }
  await fc.assert(
    fc.asyncProperty(someOperations, async operations => {
      await using model = await WriterModel.open(heap)
      using plain = await memory()
      using reader = await memory()
      await plain.sql.run('CREATE TABLE things (thing BIGINT, weight DOUBLE, label VARCHAR)')
      const kept: { dir: string; files: SnapshotFiles }[] = []
      const inodes = new Map<number, number>()
      let base = 0
      const run = async (statement: string) => {
        resultOf(await model.call('shovel', { statement }))
        await plain.sql.run(statement)
      }
      await run(many(60_000, '0'))
      /** Read by somebody all the while; at the end it must be as it was. */
      const held = await model.snapshot()
      await reader.sql.run(`ATTACH ${literal(databaseOf(held.files))} AS held (READ_ONLY)`)
      const before = { rows: await digest(reader.sql, 'held.things'), bytes: await digestOf(held.files) }
      for (const [version, [name, n, tidies]] of operations.entries()) {
        await run((OPERATIONS[name] ?? (() => ''))(n))
        const made = await model.snapshot()
        const [plainly, { ino }] = [await digest(plain.sql, 'things'), await stat(databaseOf(made.files))]
        await reader.sql.run(`ATTACH ${literal(databaseOf(made.files))} AS version (READ_ONLY)`)
        expect(await digest(reader.sql, 'version.things'), `version ${version}: ${name}`).toEqual(plainly)
        await reader.sql.run('DETACH version')
        seen[Object.keys(made.files).length === 2 ? 'wals' : 'bases'] += 1
        if (ino !== base)
          expect(manifestDigest((await blockManifest(databaseOf(made.files))).blocks)).toBe(made.made[0]?.sha256)
        base = ino
        // A base that was made some bases ago comes again as another.
        if ((inodes.get(ino) ?? version) < version - 1) seen.patched += 1
        inodes.set(ino, version)
        kept.push(made)
        if (kept.length > 3) await rm(kept.shift()?.dir ?? '', { recursive: true })
        if (tidies) await model.writer.tidy()
      }
      expect(await digest(reader.sql, 'held.things')).toEqual(before.rows)
      expect(await digestOf(held.files)).toEqual(before.bytes)
      seen.clones = await cloned(databaseOf(held.files), `${model.path}/clone`)
    }),
    { numRuns: 2, endOnFailure: true },
  )
  expect(seen.wals).toBeGreaterThan(20)
  expect(seen.bases).toBeGreaterThan(20)
  if (!seen.clones) expect(seen.patched).toBeGreaterThan(10)
}, 240_000)

const digestOf = (files: SnapshotFiles) =>
  Promise.all(
    Object.entries(files).map(async ([name, path]) => [
      name,
      createHash('sha256')
        .update(await readFile(path))
        .digest('hex'),
    ]),
  )
