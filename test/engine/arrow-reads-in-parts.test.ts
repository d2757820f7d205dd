import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { aggregateReader } from '../../src/engine/aggregate-rows.ts'
import { leaving, rowsOf } from '../../src/engine/arrow/columns.ts'
import { FileChecks } from '../../src/engine/arrow/file-checks.ts'
import { measure } from '../../src/engine/arrow/key-measures.ts'
import { openVersion } from '../../src/engine/arrow/manifest.ts'
import { askedBy, sumsDoubles } from '../../src/engine/arrow/plan-frames.ts'
import pl, { type LazyDataFrame } from '../../src/engine/arrow/polars.ts'
import { readInParts } from '../../src/engine/arrow/reads-in-parts.ts'
import type { Asked } from '../../src/engine/arrow/rows.ts'
import { StreamedFrames } from '../../src/engine/arrow/streamed-frames.ts'
import { VersionTables } from '../../src/engine/arrow/version-tables.ts'
import { type AggregatePlan, ALL } from '../../src/engine/plan.ts'
import type { PlanRead } from '../../src/engine/plan-reads.ts'
import type { Row } from '../../src/kinds/types.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { arrow } from './engines.ts'
import { aggregateOf } from './reader-aggregate-plans.ts'
import { orchard, type TableRowsByName, type TestFolder, testFolder } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { contents, pageOf, runs, tableOf } from './reader-plans.ts'

let folder: TestFolder
beforeAll(async () => {
  folder = await testFolder(arrow)
})
afterAll(() => folder[Symbol.asyncDispose]())

const signal = new AbortController().signal
const harvests = tableOf('harvests')
const filesOf = async (rows: TableRowsByName) => {
  const version = await openVersion(await folder.snapshot(orchard, rows))
  return new VersionTables(orchard, version, new FileChecks())
}

/** Of which so many rows are read at once; null where it is refused. */
async function read(tables: VersionTables, asked: PlanRead, most: number): Promise<Row[] | null> {
  try {
    return await answered(await readInParts(tables, asked, { most, signal }))
  } catch (error) {
    if (error instanceof TeatreeError && error.code === 'QUERY_TOO_EXPENSIVE') return null
    throw error
  }
}

async function answered({ frame, columns, isReversed }: Asked): Promise<Row[]> {
  const rows = rowsOf(await frame.select(...leaving(columns)).collect())
  return isReversed ? rows.reverse() : rows
}

test('pages of rows that are read in parts are those of all rows', async () => {
  const plans = pageOf(harvests)
  await fc.assert(
    fc.asyncProperty(
      contents(orchard),
      fc.array(plans, { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 9, max: 12 }),
      fc.nat(25),
      async (rows, many, most, from) => {
        const [tables, oracle] = [await filesOf(rows), new Oracle(orchard, rows)]
        for (const plan of many) {
          const position = oracle.rows({ ...plan, where: ALL, limit: 1_000 })[from]
          const after = position && plan.orderBy.map(({ column }) => position[column] ?? null)
          const cut = after ? { ...plan, after } : plan
          expect(await read(tables, { is: 'rows', plan: cut }, most)).toEqual(oracle.rows(cut))
          const counted = await read(tables, { is: 'count', table: 'harvests', where: plan.where }, most)
          expect(counted).toEqual([{ count: String(oracle.count('harvests', plan.where)) }])
        }
      },
    ),
    runs(15),
  )
})

test('groups and measures of rows that are read in parts are those of all rows, or are too many', async () => {
  const seen = { answered: 0, refused: 0 }
  await fc.assert(
    fc.asyncProperty(
      contents(orchard, 30),
      fc.array(aggregateOf(harvests), { minLength: 1, maxLength: 6 }),
      fc.integer({ min: 3, max: 25 }),
      async (rows, plans, most) => {
        const [tables, oracle] = [await filesOf(rows), new Oracle(orchard, rows)]
        for (const plan of plans) {
          if (sumsDoubles(tables, { is: 'groups', plan })) continue
          const found = await read(tables, { is: 'groups', plan }, most)
          if (found) expect(found.map(aggregateReader(orchard, plan))).toEqual(oracle.aggregate(plan))
          seen[found ? 'answered' : 'refused'] += 1
          const [counted] = (await read(tables, { is: 'count of groups', plan }, most)) ?? []
          const all = oracle.aggregate({ ...plan, limit: 1_000 })
          if (counted) expect(counted).toEqual({ count: String(all.length) })
        }
      },
    ),
    runs(25),
  )
  expect(seen.answered).toBeGreaterThan(seen.refused)
  expect(seen.refused).toBeGreaterThan(0)
})

test('rows by their keys', async () => {
  await fc.assert(
    fc.asyncProperty(contents(orchard), async rows => {
      const there = rows.harvests ?? []
      const keys = there.filter((_, index) => index % 3 === 0).map(({ name, batch }) => [name ?? null, batch ?? null])
      const asked = {
        is: 'rows by keys',
        table: 'harvests',
        columns: ['note'],
        keyColumns: harvests.key,
        keys,
      } as const
      const found = await read(await filesOf(rows), asked, 12)
      const wanted = there.filter((_, index) => index % 3 === 0)
      expect(found).toHaveLength(wanted.length)
      for (const { name, batch, note } of wanted) expect(found).toContainEqual({ note, name, batch })
    }),
    runs(5),
  )
})

test('means are those of all rows, to the last bit', async () => {
  const rows = Array.from({ length: 40 }, (_, index) => ({
    ...Object.fromEntries([...harvests.columns.keys()].map(name => [name, null])),
    ...{ name: randomUUID(), batch: index % 3, amount: index % 7 === 0 ? null : ((index * index) / 7).toFixed(4) },
  }))
  const tables = await filesOf({ harvests: rows })
  const plan: AggregatePlan = {
    ...{ table: 'harvests', where: ALL, groups: [{ column: 'batch' }], having: [], limit: 9 },
    measures: [{ is: 'avg', column: 'amount' }],
    orderBy: [{ by: { is: 'group', index: 0 }, direction: 'ASC', nulls: 'LAST' }],
  }
  const whole = await answered(askedBy(tables, { is: 'groups', plan }))
  expect(whole).toHaveLength(3)
  for (const most of [3, 4, 7, 39, 1_000]) expect(await read(tables, { is: 'groups', plan }, most)).toEqual(whole)
})

test('a key that is there twice is found among more than are told apart at once', async () => {
  const rows = 4_300_000
  const column = { name: 'n', type: 'INTEGER', nullable: false, description: undefined } as const
  const numbers = Int32Array.from({ length: rows }, (_, index) => (index * 7919) % rows)
  const many = (values: Int32Array) => pl.DataFrame({ n: values }).lazy()
  const table = { name: 'many', columns: new Map([['n', column]]), key: ['n'] }
  const ranges = { n: [0, rows - 1] }
  await using streamed = new StreamedFrames(folder.path)
  const written = { rows, compute: (frame: LazyDataFrame) => streamed.compute(frame) }
  expect(await measure(table, many(numbers), written)).toEqual({ rows, ranges, keys: rows })
  numbers[rows - 1] = numbers[5] ?? 0
  expect(await measure(table, many(numbers), written)).toMatchObject({ rows, keys: rows - 1 })
})
