import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { differencesOf } from '../../src/engine/duckdb/exports/differences.ts'
import { checkKind } from '../../src/kinds/check.ts'
import { defineKind } from '../../src/kinds/index.ts'

const kind = checkKind(
  defineKind({
    name: 'stock',
    description: 'What is where',
    engines: ['DUCKDB'],
    tables: {
      levels: {
        row: 'Level',
        description: 'Levels',
        columns: { site: 'VARCHAR', product: 'VARCHAR?', total: 'DECIMAL(18,4)?' },
        key: ['site', 'product'],
        writes: ['append'],
      },
    },
  }),
)
const levels = kind.tables.get('levels')
if (!levels) throw new Error('there is no table')

let dir: string
let files = 0
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'teatree-differences-'))
})
afterAll(() => rm(dir, { recursive: true, force: true }))

const ROWS = ["('a', 'x', 1.5)", "('a', NULL, 2)", "('b', 'x', NULL)"]

/** Rows as a Parquet file. */
async function fileOf(rows: readonly string[]): Promise<string> {
  files += 1
  const path = join(dir, `${files}.parquet`)
  const instance = await DuckDBInstance.create()
  const connection = await instance.connect()
  const select = `SELECT site::VARCHAR AS site, product::VARCHAR AS product, total::DECIMAL(18,4) AS total
    FROM (VALUES ${rows.join(', ')}) AS rows (site, product, total)`
  await connection.run(`COPY (${select}) TO '${path}' (FORMAT parquet)`)
  connection.closeSync()
  instance.closeSync()
  return path
}

async function differences(first: readonly string[], second: readonly string[]) {
  const signal = new AbortController().signal
  return differencesOf(levels as NonNullable<typeof levels>, [await fileOf(first), await fileOf(second)], {
    spill: join(dir, 'spill'),
    signal,
  })
}

test('the same rows in another order are the same, nulls too', async () => {
  const found = await differences(ROWS, [...ROWS].reverse())
  expect(found).toEqual({ rows: [3, 3], different: 0, examples: [] })
})

test('a cell that is another is found, with both rows', async () => {
  const found = await differences(ROWS, ["('a', 'x', 1.5001)", ...ROWS.slice(1)])
  expect(found).toEqual({
    rows: [3, 3],
    different: 2,
    examples: [
      { in: 'first', row: ['a', 'x', '1.5000'] },
      { in: 'second', row: ['a', 'x', '1.5001'] },
    ],
  })
})

test('a null in the place of a value is another', async () => {
  const { examples } = await differences(ROWS, [...ROWS.slice(0, 2), "('b', 'x', 0)"])
  expect(examples.map(({ row }) => row)).toEqual(
    expect.arrayContaining([
      ['b', 'x', null],
      ['b', 'x', '0.0000'],
    ]),
  )
})

test('a row that one alone has, or has twice, is found', async () => {
  expect(await differences(ROWS, ROWS.slice(1))).toMatchObject({ rows: [3, 2], different: 1 })
  const twice = await differences([ROWS[0], ROWS[0], ROWS[1]] as string[], [ROWS[0], ROWS[1], ROWS[1]] as string[])
  expect(twice).toMatchObject({ rows: [3, 3], different: 2 })
})

test('of many differences all are counted, and the first by key shown', async () => {
  const many = Array.from({ length: 50 }, (_, n) => `('${String(n).padStart(2, '0')}', 'x', ${n})`)
  const { different, examples } = await differences(
    many,
    many.map(row => row.replace(/\)$/, ' + 1)')),
  )
  expect(different).toBe(100)
  expect(examples.map(({ row }) => row[0])).toEqual(['00', '00', '01', '01', '02'])
})
