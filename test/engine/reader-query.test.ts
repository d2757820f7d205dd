import { afterAll, beforeAll, expect, test } from 'vitest'
import { DuckDBReaders } from '../../src/engine/duckdb/readers.ts'
import type { QueryRows, SnapshotReader } from '../../src/engine/engine.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Row } from '../../src/kinds/types.ts'
import labDefinition from '../support/kinds/lab.ts'
import { orchard, type TestFolder, testFolder } from './reader-model.ts'

const lab = checkKind(labDefinition)
const reading = (sampleId: string, assay: string, amount: string, replicate: number | null, takenOn: string): Row => ({
  ...{ sampleId, assay, revision: 1, replicate, instrumentId: null, takenOn, amount },
  ...{ takenAt: `${takenOn}T09:00:00.500000Z`, counts: '1', signal: 0.5, valid: true },
})
const rows: Record<string, readonly Row[]> = {
  protocols: [
    { assay: 'ph', revision: 1, title: 'Acidity', lowerLimit: '6.500000', upperLimit: '7.500000' },
    { assay: 'salt', revision: 1, title: 'Salt', lowerLimit: null, upperLimit: null },
  ],
  readings: [
    reading('b', 'ph', '7.600000', 2, '2024-01-01'),
    reading('b', 'ph', '6.000000', null, '2024-01-01'),
    reading('b', 'ph', '9.000000', 1, '2024-01-02'),
    reading('a', 'ph', '7.000000', 1, '2024-01-02'),
    reading('a', 'salt', '0.100000', 1, '2024-01-03'),
    reading('c', 'ph', '1.000000', 1, '2024-01-03'),
  ],
}

let folder: TestFolder
let readers: DuckDBReaders
let reader: SnapshotReader
let trees: SnapshotReader
beforeAll(async () => {
  folder = await testFolder()
  readers = await DuckDBReaders.start()
  reader = await readers.open({ kind: lab, files: await folder.snapshot(lab, rows) })
  trees = await readers.open({
    kind: orchard,
    files: await folder.snapshot(orchard, { harvests: [{ name: 'a', batch: 1 }] }),
  })
})
afterAll(async () => {
  await readers.close()
  await folder[Symbol.asyncDispose]()
})

async function walk(name: string, args: Record<string, unknown>, limit: number): Promise<QueryRows[]> {
  const pages: QueryRows[] = []
  for (let after: QueryRows['positions'][number] | undefined; ; ) {
    const page = await reader.query(name, args, { limit, count: true, ...(after && { after }) })
    pages.push(page)
    after = page.positions.at(-1)
    if (!after || page.rows.length < limit) return pages
  }
}

test('a query in TypeScript looks something up, and is paged in its order, nulls last', async () => {
  const pages = await walk('outsideLimits', { assay: 'ph', revision: 1, tolerance: '0.050000' }, 2)
  expect(pages.flatMap(page => page.rows)).toEqual([
    { sampleId: 'b', replicate: 1, amount: '9.000000', excess: '1.500000' },
    { sampleId: 'b', replicate: 2, amount: '7.600000', excess: '0.100000' },
    { sampleId: 'b', replicate: null, amount: '6.000000', excess: '0.500000' },
    { sampleId: 'c', replicate: 1, amount: '1.000000', excess: '5.500000' },
  ])
  expect(pages[0]?.positions).toEqual([
    ['b', 1],
    ['b', 2],
  ])
  for (const page of pages) {
    expect(page.total).toBe(4n)
    expect(page.page).toEqual({ lowerLimit: '6.500000', upperLimit: '7.500000', readings: '5' })
  }
})

test('a query in an .sql file names the tables as they are, and takes its arguments as parameters', async () => {
  const pages = await walk('dailyReadings', { from: '2024-01-01', to: '2024-01-03' }, 1)
  expect(pages.flatMap(page => page.rows)).toEqual([
    { day: '2024-01-01', assay: 'ph', readings: '2', total: '13.600000', lastAt: '2024-01-01T09:00:00.500000Z' },
    { day: '2024-01-02', assay: 'ph', readings: '2', total: '16.000000', lastAt: '2024-01-02T09:00:00.500000Z' },
  ])
  const all = await reader.query('dailyReadings', { from: null, to: null }, { limit: 10, count: false })
  expect(all).toMatchObject({ rows: { length: 4 }, total: null, page: {} })
})

test("what the function refuses comes through with the kind's own code", async () => {
  const unknown = reader.query(
    'outsideLimits',
    { assay: 'none', revision: 1, tolerance: '0' },
    { limit: 1, count: false },
  )
  await expect(unknown).rejects.toMatchObject({ name: 'TeatreeError', code: 'NO_PROTOCOL' })
})

const echo = (select: string) => trees.query('echo', { select }, { limit: 5, count: true })

test('answers are brought to the declared types, and comments and semicolons at the end do no harm', async () => {
  const found =
    await echo(`SELECT count(*) AS whole, ';' AS text, 12.5000 AS amount, 1 AS share, DATE '2024-02-29' AS day
    FROM harvests; -- done;
    /* really */ ; -- so`)
  expect(found.rows).toEqual([{ whole: 1, text: ';', amount: '12.50', share: 1, day: '2024-02-29' }])
  expect(found.page).toEqual({ trees: '1' })
})

test.for([
  ['a value that the type cannot hold', "1 AS whole, 'a' AS text, 1.005 AS amount, 1.5 AS share, NULL AS day"],
  ['null where there must be a value', "NULL AS whole, 'a' AS text, 1 AS amount, 1.5 AS share, NULL AS day"],
  ['a number past the type', "3000000000 AS whole, 'a' AS text, 1 AS amount, 1.5 AS share, NULL AS day"],
  ['an instant for a day', "1 AS whole, 'a' AS text, 1 AS amount, 1.5 AS share, now()::TIMESTAMP AS day"],
])('a function that answers wrong, with %s, is a fault that names query and column', async ([, columns]) => {
  await expect(echo(`SELECT ${columns}`)).rejects.toThrow(/^query echo answers wrong in \w+: /)
})

test('a query function may SELECT and no more, and sees instants in UTC', async () => {
  const told = await echo(
    `SELECT 1 AS whole, current_setting('TimeZone') AS text, 0 AS amount, 0 AS share, NULL AS day`,
  )
  expect(told.rows[0]?.text).toBe('UTC')
  const page = { limit: 1, count: false }
  await expect(trees.query('meddle', { statement: 'SET threads = 1' }, page)).rejects.toThrow('runs SELECTs')
  await expect(trees.query('meddle', { statement: 'CREATE TEMP TABLE t (a INTEGER)' }, page)).rejects.toThrow('SELECTs')
})

test('a query past its time limit is stopped, and so is one whose caller has gone', async () => {
  const page = { limit: 1, count: false }
  await expect(trees.query('grind', {}, page)).rejects.toMatchObject({ code: 'QUERY_TIMEOUT' })
  const caller = new AbortController()
  const stopped = trees.query('grind', {}, page, caller.signal)
  caller.abort(new Error('the caller has gone'))
  await expect(stopped).rejects.toThrow('the caller has gone')
  // The connections that were interrupted are as good as before.
  const after = await Promise.all(Array.from({ length: 50 }, () => trees.tables()))
  expect(new Set(after.map(tables => JSON.stringify(tables))).size).toBe(1)
})
