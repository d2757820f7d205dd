import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { ALL, type RowsPlan } from '../../src/engine/plan.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { orchard, type TableRowsByName, type TestFolder, testFolder } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { contents, pageOf, runs, tableOf } from './reader-plans.ts'

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

  const position = (plan: RowsPlan, row: Row | undefined): Value[] =>
    plan.orderBy.map(({ column }) => row?.[column] ?? null)

  /** All pages one after the other, forwards from the start or backwards from the end; the rows in order. */
  async function walk(reader: SnapshotReader, plan: RowsPlan): Promise<readonly Row[]> {
    const rows: Row[] = []
    for (let page: readonly Row[] = [], next = plan; ; ) {
      page = await reader.rows(next)
      if (plan.last) rows.unshift(...page)
      else rows.push(...page)
      if (page.length < plan.limit) return rows
      next = plan.last ? { ...plan, before: position(plan, page[0]) } : { ...plan, after: position(plan, page.at(-1)) }
    }
  }

  const harvests = tableOf('harvests')
  const plans = pageOf(harvests)

  test('pages walked to the end hold what a plain evaluation selects, in its order', async () => {
    await fc.assert(
      fc.asyncProperty(contents(orchard), fc.array(plans, { minLength: 1, maxLength: 6 }), async (rows, many) => {
        await reading(rows, async (reader, oracle) => {
          for (const plan of many) {
            const all = oracle.rows({ ...plan, limit: 1_000 })
            expect(await walk(reader, plan)).toEqual(all)
            expect(await reader.count('harvests', plan.where)).toBe(BigInt(all.length))
          }
        })
      }),
      runs(15),
    )
  })

  test('a page between two positions is cut from the end that was asked for', async () => {
    await fc.assert(
      fc.asyncProperty(contents(orchard), plans, fc.nat(30), fc.nat(30), async (rows, plan, from, to) => {
        await reading(rows, async (reader, oracle) => {
          // Positions need not be those of rows that are selected.
          const every = oracle.rows({ ...plan, where: ALL, limit: 1_000 })
          const [first, last] = [every[from], every[to]]
          const cut: RowsPlan = {
            ...plan,
            ...(first && { after: position(plan, first) }),
            ...(last && { before: position(plan, last) }),
          }
          expect(await reader.rows(cut)).toEqual(oracle.rows(cut))
        })
      }),
      runs(15),
    )
  })

  test('rows are found by keys, nulls among them, each once', async () => {
    const plots = tableOf('plots')
    await fc.assert(
      fc.asyncProperty(
        contents(orchard),
        fc.array(fc.tuple(fc.integer({ min: -2, max: 3 }), fc.option(fc.constantFrom('', 'a', 'A', 'b')))),
        async (rows, more) => {
          await reading(rows, async reader => {
            const all = rows.plots ?? []
            const keys = [...all.slice(0, 5).map(row => plots.key.map(name => row[name] ?? null)), ...more, ...more]
            const wanted = new Set(keys.map(key => JSON.stringify(key)))
            const found = await reader.readByKeys('plots', ['area'], plots.key, keys)
            for (const key of keys.slice(0, 3)) {
              const single = await reader.readByKeys('plots', [], plots.key, [key])
              const same = found.filter(({ field, part }) => JSON.stringify([field, part]) === JSON.stringify(key))
              expect(single).toEqual(same.map(({ field, part }) => ({ field, part })))
            }
            const byText = (a: unknown, b: unknown) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1)
            expect(found.map(({ area, field, part }) => [area, field, part]).sort(byText)).toEqual(
              all
                .filter(row => wanted.has(JSON.stringify([row.field, row.part])))
                .map(({ area, field, part }) => [area, field, part])
                .sort(byText),
            )
          })
        },
      ),
      runs(10),
    )
  })

  test('strings are ordered by their UTF-8 bytes, which is not the order of UTF-16', async () => {
    const names = ['z', 'Z', 'é', '\uFFFD', '\u{1F600}', '', 'aa', 'a']
    await reading({ harvests: names.map(name => ({ name, batch: 1 })) }, async reader => {
      const plan: RowsPlan = {
        table: 'harvests',
        columns: ['name'],
        where: ALL,
        orderBy: [{ column: 'name', direction: 'ASC', nulls: 'LAST' }],
        limit: 3,
      }
      const found = await walk(reader, plan)
      expect(found.map(({ name }) => name)).toEqual(['', 'Z', 'a', 'aa', 'z', 'é', '\uFFFD', '\u{1F600}'])
    })
  })

  test('of many conditions a null is as unknown as of one', async () => {
    const batches = [null, 7, 1_000]
    await reading({ harvests: batches.map((batch, index) => ({ name: `n${index}`, batch })) }, async reader => {
      const of = Array.from(
        { length: 500 },
        (_, value) => ({ is: 'compare', column: 'batch', op: 'eq', value }) as const,
      )
      const [or, and] = [{ is: 'or', of } as const, { is: 'and', of } as const]
      const filters = [or, { is: 'not', of: or }, and, { is: 'not', of: and }] as const
      expect(await Promise.all(filters.map(where => reader.count('harvests', where)))).toEqual([1n, 1n, 0n, 2n])
    })
  })

  test('a DOUBLE is compared with whole numbers of any size', async () => {
    const sugars = [-1e300, 0, 2 ** 31, 2 ** 53, 2 ** 63, 1e23, 1e300]
    await reading(
      { harvests: sugars.map((sugar, index) => ({ name: `n${index}`, batch: 1, sugar })) },
      async reader => {
        for (const value of sugars) {
          const found = await Promise.all(
            [
              { is: 'compare', column: 'sugar', op: 'gte', value } as const,
              { is: 'in', column: 'sugar', values: [value], negated: false } as const,
            ].map(where => reader.count('harvests', where)),
          )
          expect(found).toEqual([BigInt(sugars.filter(sugar => sugar >= value).length), 1n])
        }
      },
    )
  })

  test('values come out in canonical form, to the last digit', async () => {
    const row: Row = {
      name: 'n',
      batch: -2147483648,
      note: null,
      boxes: 2147483647,
      code: '-9223372036854775808',
      amount: '-99999999999999.9999',
      weight: '9999999999999999999999999999.9999999999',
      sugar: 5e-324,
      sold: false,
      day: '0001-01-01',
      weighedAt: '9999-12-31T23:59:59.999999Z',
      field: null,
      part: '',
      growerId: 'g',
    }
    await reading({ harvests: [row] }, async reader => {
      const [found] = await reader.rows({
        table: 'harvests',
        columns: [...harvests.columns.keys()],
        where: ALL,
        orderBy: [{ column: 'name', direction: 'ASC', nulls: 'LAST' }],
        limit: 1,
      })
      expect(found).toEqual(row)
    })
  })
})
