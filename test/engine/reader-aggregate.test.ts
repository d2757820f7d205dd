import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { type AggregatePlan, type AggregateRow, ALL, type Measure } from '../../src/engine/plan.ts'
import type { Row } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { aggregateOf } from './reader-aggregate-plans.ts'
import { orchard, type TableRowsByName, type TestFolder, testFolder } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { contents, runs, tableOf } from './reader-plans.ts'

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

  async function reading<T>(rows: TableRowsByName, work: (reader: SnapshotReader, oracle: Oracle) => Promise<T>) {
    const reader = await readers.open({ kind: orchard, files: await folder.snapshot(orchard, rows) })
    try {
      return await work(reader, new Oracle(orchard, rows))
    } finally {
      await reader.close()
    }
  }

  async function walk(reader: SnapshotReader, plan: AggregatePlan): Promise<AggregateRow[]> {
    const groups: AggregateRow[] = []
    for (let next = plan; ; ) {
      const page = await reader.aggregate(next)
      groups.push(...page)
      const last = page.at(-1)
      // Without groups there is one row, and no position behind it.
      if (!last || page.length < plan.limit || plan.groups.length === 0) return groups
      next = { ...plan, after: last.position }
    }
  }

  test('groups, their measures and their pages are those of a plain evaluation', async () => {
    await fc.assert(
      fc.asyncProperty(
        contents(orchard, 30),
        fc.array(aggregateOf(tableOf('harvests')), { minLength: 1, maxLength: 6 }),
        async (rows, plans) => {
          await reading(rows, async (reader, oracle) => {
            for (const plan of plans) {
              const all = oracle.aggregate({ ...plan, limit: 1_000 })
              expect(await walk(reader, plan)).toEqual(all)
              expect(await reader.countGroups(plan)).toBe(BigInt(all.length))
            }
          })
        },
      ),
      runs(25),
    )
  })

  const measure = async (rows: readonly Row[], measures: readonly Measure[]): Promise<AggregateRow | undefined> =>
    reading({ harvests: rows }, async reader => {
      const plan: AggregatePlan = {
        table: 'harvests',
        where: ALL,
        groups: [],
        measures,
        having: [],
        orderBy: [],
        limit: 1,
      }
      return (await reader.aggregate(plan))[0]
    })

  const every: Measure[] = [
    { is: 'count' },
    { is: 'sum', column: 'amount' },
    { is: 'sum', column: 'code' },
    { is: 'sum', column: 'sugar' },
    { is: 'avg', column: 'amount' },
    { is: 'min', column: 'day' },
    { is: 'max', column: 'note' },
    { is: 'countDistinct', column: 'sold' },
  ]

  test('over no rows there is one row: counts of 0, and nulls', async () => {
    expect(await measure([], every)).toEqual({
      groups: [],
      measures: ['0', null, null, null, null, null, null, '0'],
      position: [],
    })
  })

  test('sums are exact past 64 bits, and means are of exact sums', async () => {
    const rows = Array.from({ length: 1000 }, (_, index) => ({
      name: `n${index}`,
      batch: 1,
      amount: '99999999999999.9999',
      code: '9223372036854775807',
      sugar: 0.5,
    }))
    const found = await measure(rows, every)
    expect(found?.measures.slice(0, 4)).toEqual(['1000', '99999999999999999.9000', '9223372036854775807000', 500])
    expect(found?.measures[4]).toBe(1e14)
  })

  test('a sum of doubles is the same in whatever order the rows lie', async () => {
    // Even a compensated sum of these depends on the order.
    const sugars = [1e100, 1, -1e100, 1e-3, 1e17, 3, -1e17, 1e50, 7, -1e50]
    const rows = sugars.map((sugar, index): Row => ({ name: `n${index}`, batch: 1, sugar }))
    const measures: Measure[] = [
      { is: 'sum', column: 'sugar' },
      { is: 'avg', column: 'sugar' },
    ]
    const found = await measure(rows, measures)
    for (let turn = 1; turn < rows.length; turn++) {
      expect(await measure([...rows.slice(turn), ...rows.slice(0, turn)], measures)).toEqual(found)
    }
  })

  test('a sum that no type can hold is refused, not wrong', async () => {
    const row = (name: string, more: Row): Row => ({ name, batch: 1, ...more })
    const whole = '9999999999999999999999999999.9999999999'
    const sum: Measure[] = [{ is: 'sum', column: 'weight' }]
    const past38 = [row('a', { weight: whole }), row('b', { weight: '0.0000000001' })]
    await expect(measure(past38, sum)).rejects.toMatchObject({ name: 'TeatreeError', code: 'BAD_VALUE' })
    const past128 = [row('a', { weight: whole }), row('b', { weight: whole })]
    await expect(measure(past128, sum)).rejects.toMatchObject({ name: 'TeatreeError', code: 'BAD_VALUE' })
    const infinite = [row('a', { sugar: 1.7e308 }), row('b', { sugar: 1.7e308 })]
    await expect(measure(infinite, [{ is: 'sum', column: 'sugar' }])).rejects.toMatchObject({ code: 'BAD_VALUE' })
  })

  test('a bucket is called by its first day, and by its first instant where the column is one', async () => {
    const rows: Row[] = [
      { name: 'a', batch: 1, day: '2024-02-29', weighedAt: '2024-02-29T12:30:00.000001Z' },
      { name: 'b', batch: 1, day: '2024-03-03', weighedAt: null },
    ]
    await reading({ harvests: rows }, async reader => {
      const groups = async (column: string, bucket: 'WEEK' | 'QUARTER') =>
        reader.aggregate({
          table: 'harvests',
          where: ALL,
          groups: [{ column, bucket }],
          measures: [{ is: 'count' }],
          having: [],
          orderBy: [{ by: { is: 'group', index: 0 }, direction: 'ASC', nulls: 'LAST' }],
          limit: 10,
        })
      // 3 March 2024 is a Sunday, and belongs to the week of Monday, 26 February.
      expect(await groups('day', 'WEEK')).toEqual([
        { groups: ['2024-02-26'], measures: ['2'], position: ['2024-02-26'] },
      ])
      expect((await groups('weighedAt', 'QUARTER')).map(row => row.groups[0])).toEqual([
        '2024-01-01T00:00:00.000000Z',
        null,
      ])
    })
  })
})
