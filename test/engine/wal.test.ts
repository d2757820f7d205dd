import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { type ModelDatabase, openDatabase } from '../../src/engine/duckdb/database.ts'
import { createState, writeState } from '../../src/engine/duckdb/state.ts'
import { walForReaders } from '../../src/engine/duckdb/wal.ts'
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
  await db.sql.run('BEGIN')
  for (const statement of statements) await db.sql.run(statement)
  await writeState(db.sql, { version, lastSeq: BigInt(version) })
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

async function asReadersHaveIt() {
  await writeFile(join(dir, 'model.duckdb.readers'), await readFile(join(dir, 'base')))
  await writeFile(join(dir, 'model.duckdb.readers.wal'), walForReaders(await wal()).bytes)
  return querySnapshot({ 'model.duckdb': join(dir, 'model.duckdb.readers') }, CONTENT)
}

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

const someStatements = fc.array(
  fc.constantFrom(
    `INSERT INTO a VALUES (1, 'x')`,
    `INSERT INTO a SELECT i, NULL FROM range(3000) r (i)`,
    'INSERT INTO b VALUES (1), (2)',
    `DELETE FROM a WHERE rowid = (SELECT max(rowid) FROM a)`,
    `UPDATE a SET text = 'y' WHERE rowid = (SELECT max(rowid) FROM a)`,
    'UPDATE b SET i = i + 1 WHERE i % 1000 = 1',
    'DELETE FROM b WHERE i = 2',
    'SELECT 1',
  ),
  { minLength: 1, maxLength: 3 },
)

test('whatever transactions there are, readers have the same rows in the same places', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(someStatements, { minLength: 1, maxLength: 12 }), async transactions => {
      for (const statements of transactions) await transaction(...statements)
      expect(await asReadersHaveIt()).toEqual(await db.sql.all(CONTENT))
    }),
    { numRuns: 15, endOnFailure: true },
  )
})
