import { copyFile, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { BASE, BASE_WAL, DATABASE, type ModelDatabase, openDatabase } from '../../src/engine/duckdb/database.ts'
import { createState, type State, writeState } from '../../src/engine/duckdb/state.ts'
import { walForReaders } from '../../src/engine/duckdb/wal.ts'
import type { SnapshotFiles } from '../../src/engine/engine.ts'
import { LONGER } from '../support/longer.ts'
import { querySnapshot } from './writer-model.ts'

const END = Buffer.from('d\0d\xff\xff', 'latin1')

let dir: string
let db: ModelDatabase
let version: number
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-wal-'))
  db = await openDatabase(dir, null, { threads: 1 })
  version = 0
  await createState(db.sql, {})
  await db.sql.run('CREATE TABLE a (i BIGINT, text VARCHAR); CREATE TABLE b (i INTEGER)')
  await db.sql.run(`INSERT INTO a SELECT i, 'a' || i FROM range(5000) r (i); INSERT INTO b FROM range(3000)`)
  await db.sql.run('CHECKPOINT')
  await writeFile(join(dir, 'base'), await readFile(db.path))
})
afterEach(async () => {
  db.close()
  await rm(dir, { recursive: true })
})

async function transaction(...statements: string[]) {
  version += 1
  await stating({ version, lastSeq: BigInt(version) }, statements)
}

async function stating(state: Partial<State>, statements: readonly string[]) {
  await db.sql.run('BEGIN')
  for (const statement of statements) await db.sql.run(statement)
  await writeState(db.sql, state)
  await db.sql.run('COMMIT')
}

const wal = () => readFile(`${db.path}.wal`)

function endsIn(bytes: Buffer): number {
  let ends = 0
  for (let at = bytes.indexOf(END); at >= 0; at = bytes.indexOf(END, at + 1)) ends += 1
  return ends
}

/** Where each row lies counts, too: what comes later in a WAL names rows by their places. */
const CONTENT = `SELECT list(x ORDER BY x) AS rows FROM (
  SELECT format('a {} {} {}', rowid, i, text) AS x FROM a UNION ALL SELECT format('b {} {}', rowid, i) FROM b
  UNION ALL SELECT format('{} {} {}', version, last_seq, shape) FROM _teatree.state)`

/** The files of a version of the present state. */
async function filesOfVersion(): Promise<SnapshotFiles> {
  const [base, readers] = [join(dir, BASE), join(dir, BASE_WAL)]
  await copyFile(join(dir, 'base'), base)
  await rm(readers, { force: true })
  const written = await wal().catch(() => null)
  if (!written?.length) return { [DATABASE]: base }
  await writeFile(readers, walForReaders(written).bytes)
  return { [BASE]: base, [BASE_WAL]: readers }
}

const asReadersHaveIt = async () => querySnapshot(await filesOfVersion(), CONTENT)

test('transactions that only insert are one to the readers, and replaying it is told to cost less', async () => {
  for (let n = 0; n < 50; n++)
    await transaction(`INSERT INTO a VALUES (${n}, 'more')`, n % 2 ? `INSERT INTO b VALUES (${n})` : 'SELECT 1')
  const written = await wal()
  const { bytes, replayMs } = walForReaders(written)
  expect([endsIn(written), endsIn(bytes)]).toEqual([50, 1])
  expect(bytes.length).toBeLessThan(written.length)
  await transaction('DELETE FROM a WHERE i = 4')
  expect(walForReaders(await wal()).replayMs).toBeLessThan(2 * replayMs)
  expect(await asReadersHaveIt()).toEqual(await db.sql.all(CONTENT))
})

test('what changes rows, or tables, stays a transaction of its own', async () => {
  await transaction(`INSERT INTO a VALUES (1, 'x'), (2, 'y')`)
  await transaction(`DELETE FROM a WHERE text = 'x'`)
  await transaction('INSERT INTO b VALUES (7)')
  await transaction('UPDATE b SET i = 8 WHERE i = 7')
  await transaction('ALTER TABLE b ADD COLUMN more VARCHAR')
  await transaction(`INSERT INTO b VALUES (7, 'z')`)
  expect(endsIn(walForReaders(await wal()).bytes)).toBe(6)
  expect(await asReadersHaveIt()).toEqual(await db.sql.all(CONTENT))
})

test('transactions do not come to be larger than what is replayed in memory', async () => {
  for (let n = 0; n < 5; n++) await transaction('INSERT INTO b FROM range(20000)')
  expect(endsIn(walForReaders(await wal()).bytes)).toBe(3)
  expect(await asReadersHaveIt()).toEqual(await db.sql.all(CONTENT))
})

/** One field of another number, as where a release has put one in before it. */
const moved = (from: string, to: string) => (bytes: Buffer) => {
  const text = bytes.toString('latin1')
  expect(text).toContain(from)
  return Buffer.from(text.replace(from, to), 'latin1')
}

test.each([
  ['cut off', (bytes: Buffer) => bytes.subarray(0, -1)],
  ['without an end', (bytes: Buffer) => bytes.subarray(0, -21)],
  ['of another version', (bytes: Buffer) => Buffer.concat([bytes.subarray(0, 5), Buffer.from([9]), bytes.subarray(6)])],
  ['empty', () => Buffer.alloc(0)],
  ['of entries that begin otherwise', moved('d\0\x1ae\0d\0', 'd\0\x1ae\0c\0')],
  ['of rows that are not counted where they were', moved('d\0\x1ae\0d\0\x01e', 'd\0\x1ae\0d\0\x01f')],
  ['of a state whose columns are not where they were', moved('d\0\x1ce\0\x01\0f', 'd\0\x1ce\0\x02\0f')],
])('a WAL that is %s is left as it is', async (_, change) => {
  for (let n = 0; n < 3; n++) await transaction('INSERT INTO b VALUES (1)')
  const bytes = change(await wal())
  expect(walForReaders(bytes).bytes).toBe(bytes)
})

/** Every row in its place, beside what the tables are. */
const ROWS = `(
    SELECT 'a ' || rowid || ' ' || a::VARCHAR AS x FROM a UNION ALL SELECT 'b ' || rowid || ' ' || b::VARCHAR FROM b
    UNION ALL SELECT state::VARCHAR FROM _teatree.state
    UNION ALL SELECT table_name || ' ' || column_name || ' ' || data_type FROM duckdb_columns() WHERE NOT internal)`
/** And what DuckDB answers from what it knows of columns, without looking at rows. */
const answersWith = (rows: string) => `SELECT [
  (SELECT ${rows} FROM ${ROWS})::VARCHAR,
  (SELECT (count(*), min(i), max(i), count(text), min(text), max(text)) FROM a)::VARCHAR,
  (SELECT count(*) FROM a WHERE i > 4990)::VARCHAR, (SELECT count(*) FROM a WHERE text IS NULL)::VARCHAR,
  (SELECT (count(*), sum(i)) FROM b WHERE i BETWEEN 5 AND 8)::VARCHAR] AS answers`
const QUERIES = answersWith('list(x ORDER BY x)')
const DIGESTS = answersWith('(count(x), sum(hash(x)), bit_xor(hash(x)))')

type Step = readonly string[] | { is: 'altered' | 'grown' | 'checkpoint' | 'goes on' | 'first of a batch' }

const someStatements = fc.array(
  fc.constantFrom(
    `INSERT INTO a (i, text) VALUES (1, 'x')`,
    'INSERT INTO a (i, text) SELECT i, NULL FROM range(2100) r (i)',
    'DELETE FROM a WHERE text IS NULL AND i > 50',
    'INSERT INTO a BY NAME SELECT max(i) + 1 AS i FROM a',
    'INSERT INTO b (i) VALUES (1), (2)',
    `DELETE FROM a WHERE rowid = (SELECT max(rowid) FROM a)`,
    'DELETE FROM a WHERE rowid % 700 = 3',
    `UPDATE a SET text = 'y' WHERE rowid = (SELECT max(rowid) FROM a)`,
    'UPDATE b SET i = i + 1 WHERE i % 1000 = 1',
    'DELETE FROM b WHERE i = 2',
    'SELECT 1',
  ),
  { minLength: 1, maxLength: 3 },
)
const someSteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 12, arbitrary: someStatements },
    {
      weight: 5,
      arbitrary: fc.record({
        is: fc.constantFrom('altered', 'grown', 'checkpoint', 'goes on', 'goes on', 'goes on', 'first of a batch'),
      }),
    },
  ),
  { minLength: 4, maxLength: 24, size: 'max' },
)

/** So many, and more where chance has it that something was hardly met. */
const RUNS = 7 * LONGER

/** A column more or a table more, as a kind gets them: in transactions that write its shape. */
async function step(of: Step, n: number) {
  if (!('is' in of)) return transaction(...of)
  switch (of.is) {
    case 'altered':
      return stating({ version: -1, shape: { n } as never }, [`ALTER TABLE b ADD COLUMN c${n} VARCHAR DEFAULT NULL`])
    case 'grown':
      return stating({ version: -1, shape: { n } as never }, [`CREATE TABLE t${n} (i BIGINT)`])
    case 'first of a batch':
      return stating({ version: -1 }, [`INSERT INTO a (i, text) VALUES (${n}, 'first')`])
    case 'checkpoint':
      await db.sql.run('CHECKPOINT')
      return copyFile(db.path, join(dir, 'base'))
    case 'goes on': {
      const files = await filesOfVersion()
      const next = await mkdtemp(join(dir, 'next-'))
      db.close()
      db = await openDatabase(next, files, { threads: 1 })
    }
  }
}

test('whatever is written, by a writer that goes on from what readers have too, they have the same', async () => {
  let n = 0
  const seen = { runs: 0, merged: 0, wentOn: 0 }
  await fc.assert(
    fc.asyncProperty(someSteps, async steps => {
      if (seen.runs >= RUNS && seen.merged > 10 && seen.wentOn > 3) return
      seen.runs += 1
      for (const [at, each] of steps.entries()) {
        await step(each, n++)
        const files = await filesOfVersion()
        const [theirs, ours] = [await querySnapshot(files, DIGESTS), await db.sql.all(DIGESTS)]
        // All of it is only read where it differs.
        if (JSON.stringify(theirs) !== JSON.stringify(ours)) {
          const done = JSON.stringify(steps.slice(0, at + 1))
          expect(await querySnapshot(files, QUERIES), done).toEqual(await db.sql.all(QUERIES))
          expect(theirs, done).toEqual(ours)
        }
        const written = await wal().catch(() => Buffer.alloc(0))
        if (walForReaders(written).bytes.length < written.length) seen.merged += 1
        if ('is' in each && each.is === 'goes on' && written.length > 0) seen.wentOn += 1
      }
    }),
    { numRuns: 4 * RUNS, endOnFailure: true },
  )
  expect(seen.merged).toBeGreaterThan(10)
  expect(seen.wentOn).toBeGreaterThan(3)
}, 240_000)
