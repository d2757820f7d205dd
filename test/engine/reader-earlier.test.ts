import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Change, Readers, SnapshotReader } from '../../src/engine/engine.ts'
import { type AggregatePlan, ALL, type Filter, type RowsPlan } from '../../src/engine/plan.ts'
import type { Table } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { duckdb, engines, type TestEngine } from './engines.ts'
import { aggregateOf } from './reader-aggregate-plans.ts'
import { orchard } from './reader-model.ts'
import { filterOn, orderOf, rowsOf, runs, tableOf } from './reader-plans.ts'
import { WriterModel } from './writer-model.ts'

interface Opened {
  reader: SnapshotReader
  fresh: SnapshotReader
  /** Names of its files. */
  files: string[]
  openAgain: () => Promise<SnapshotReader>
}

/** A model of which every version is open at readers that stay, and at others that have read nothing before. */
class Versions implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack()
  readonly #model: WriterModel
  readonly #readers: Readers
  #fresh: SnapshotReader[] = []
  /** See VersionOpened. */
  check = async (): Promise<void> => {}

  private constructor(model: WriterModel, readers: Readers) {
    this.#model = this.#stack.use(model)
    this.#readers = this.#stack.adopt(readers, open => open.close())
  }

  static async begin(engine: TestEngine): Promise<Versions> {
    return new Versions(await WriterModel.open(orchard, { engine }), await engine.startReaders())
  }

  /** Publishes what the changes make, which were all accepted or not. */
  async after(...changes: Change[]): Promise<Opened> {
    await this.#model.apply(...changes)
    const { files, tables } = await this.#model.snapshot()
    const of = { model: 'orchard', version: this.#model.writer.version, tables, check: () => this.check() }
    const reader = await this.#readers.open({ kind: orchard, files, of })
    for (const old of this.#fresh.splice(0)) await old.close()
    // Under no name nothing is found, and nothing taken over.
    const fresh = await this.#readers.open({ kind: orchard, files })
    this.#fresh.push(fresh)
    const openAgain = () => this.#readers.open({ kind: orchard, files, of })
    return { reader, fresh, files: Object.keys(files), openAgain }
  }

  /** Another writer goes on. */
  async reopen(): Promise<void> {
    await this.#model.reopen((await this.#model.snapshot()).files)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync()
  }
}

const harvest = (name: string, more: Row = {}): Row => ({ name, batch: 1, boxes: 1, ...more })
const appended = (...rows: Row[]): Change => ({ is: 'append', table: 'harvests', rows })
const boxes = (value: number): Filter => ({ is: 'compare', column: 'boxes', op: 'eq', value })
const byKey = [
  { column: 'name', direction: 'ASC', nulls: 'LAST' },
  { column: 'batch', direction: 'ASC', nulls: 'LAST' },
] as const
const page: RowsPlan = { table: 'harvests', columns: ['boxes'], where: ALL, orderBy: byKey, limit: 2 }
const sums: AggregatePlan = {
  table: 'harvests',
  where: ALL,
  groups: [],
  measures: [{ is: 'sum', column: 'boxes' }],
  having: [],
  orderBy: [],
  limit: 1,
}

/** What all sorts of reads answer; where one has been taken over, it is the same object. */
async function answers(reader: SnapshotReader) {
  return {
    first: await reader.rows(page),
    last: await reader.rows({ ...page, last: true }),
    few: await reader.rows({ ...page, where: boxes(7), limit: 50 }),
    one: await reader.readByKeys('harvests', ['boxes'], ['name', 'batch'], [['b', 1]]),
    none: await reader.readByKeys('harvests', ['boxes'], ['name', 'batch'], [['y', 1]]),
  }
}

function sameAs(now: Awaited<ReturnType<typeof answers>>, before: Awaited<ReturnType<typeof answers>>) {
  const names = Object.keys(now) as (keyof typeof now)[]
  return names.filter(name => now[name] === before[name])
}

const harvests = tableOf('harvests')
const pagePlans = fc
  .record({
    where: filterOn(harvests),
    orderBy: orderOf(harvests),
    columns: fc.subarray([...harvests.columns.keys()]),
    limit: fc.integer({ min: 1, max: 5 }),
    last: fc.boolean(),
  })
  .map((plan): RowsPlan => ({ ...plan, table: 'harvests' }))
const rowWrites = (table: Table, weight: number) => [
  {
    weight,
    arbitrary: rowsOf(table, 3).map((rows): Change => ({ is: 'append', table: table.name, rows })),
  },
  {
    weight: 1,
    arbitrary: rowsOf(table, 2).map((rows): Change => ({ is: 'upsert', table: table.name, rows })),
  },
  {
    weight: 1,
    arbitrary: filterOn(table, 1).map((where): Change => ({ is: 'delete', table: table.name, where })),
  },
]
const rowChanges = fc.oneof(
  ...rowWrites(harvests, 12),
  ...rowWrites(tableOf('plots'), 2),
  ...rowWrites(tableOf('growers'), 2),
  {
    weight: 1,
    arbitrary: filterOn(harvests, 1).map(
      (where): Change => ({ is: 'update', table: 'harvests', where, set: { note: 'weighed again' } }),
    ),
  },
)
/** What comes with it is more than readers are to replay: the version is one that has a new base. */
const newBase: Change = {
  is: 'upsert',
  table: 'growers',
  rows: [{ growerId: 'of a long region', region: 'r'.repeat(1.1 * 2 ** 20) }],
}
const steps = fc.record({
  changes: fc.array(rowChanges, { minLength: 1, maxLength: 2 }),
  hasNewBase: fc.boolean(),
  isReopened: fc.boolean(),
})

/** The page, and those before and behind it. */
async function pagesOf(reader: SnapshotReader, plan: RowsPlan) {
  const rows = await reader.rows(plan)
  const positions = [rows[0], rows.at(-1)].map(row => row && plan.orderBy.map(({ column }) => row[column] ?? null))
  const [first, last] = positions
  return [
    rows,
    first && (await reader.rows({ ...plan, before: first })),
    last && (await reader.rows({ ...plan, after: last })),
    first && last && (await reader.rows({ ...plan, after: first, before: last })),
  ]
}

/** A sum may be out of range in both. */
const groupsOf = (reader: SnapshotReader, plan: AggregatePlan) =>
  reader.aggregate(plan).catch((error: unknown) => (error instanceof TeatreeError ? error.code : Promise.reject(error)))

describe.each(engines)('$name', engine => {
  test('an answer is taken over where no row has come that belongs to it', async () => {
    await using versions = await Versions.begin(engine)
    let { reader } = await versions.after(
      appended(...['b', 'c', 'd', 'x'].map(name => harvest(name)), harvest('s', { boxes: 7 })),
    )
    let before = await answers(reader)
    const step = async (...changes: Change[]) => {
      const next = await versions.after(...changes)
      const now = await answers(next.reader)
      expect(now).toEqual(await answers(next.fresh))
      const same = sameAs(now, before)
      reader = next.reader
      before = now
      return same
    }
    expect(await step(appended(harvest('m')))).toEqual(['first', 'last', 'few', 'one', 'none'])
    expect(await step(appended(harvest('a')))).toEqual(['last', 'few', 'one', 'none'])
    expect(await step(appended(harvest('y')))).toEqual(['first', 'few', 'one'])
    expect(await step(appended(harvest('n', { boxes: 7 })))).toEqual(['first', 'last', 'one', 'none'])
    expect(await step({ is: 'append', table: 'growers', rows: [] })).toEqual(['first', 'last', 'few', 'one', 'none'])
    expect(await step({ is: 'update', table: 'harvests', where: boxes(99), set: { boxes: 1 } })).toHaveLength(5)
    // Whatever else has been changed: nothing is.
    expect(await step({ is: 'update', table: 'harvests', where: boxes(7), set: { boxes: 8 } })).toEqual([])
    expect(await step({ is: 'delete', table: 'harvests', where: boxes(8) })).toEqual([])
    // Rows have gone: those that came last are still known.
    expect(await step(appended(harvest('o')))).toEqual(['first', 'last', 'few', 'one', 'none'])
    await versions.reopen()
    expect(await step(appended(harvest('p')))).toEqual(['first', 'last', 'few', 'one', 'none'])
  })

  test('what was read of files that may have been written over by then is kept for nobody', async () => {
    await using versions = await Versions.begin(engine)
    const { reader } = await versions.after(appended(harvest('a')))
    versions.check = () => Promise.reject(new Error('the version was let go'))
    await expect(reader.rows(page)).rejects.toThrow('the version was let go')
    versions.check = async () => {}
    // The file is read, and not what was found before.
    const found = await reader.rows(page)
    expect(found).toEqual([{ name: 'a', batch: 1, boxes: 1 }])
    expect(await reader.rows(page)).toBe(found)
  })

  test('who has a version open again is not told what became of another who had it open before', async () => {
    await using versions = await Versions.begin(engine)
    const lost = Promise.withResolvers<never>()
    lost.promise.catch(() => {})
    const begun = Promise.withResolvers<void>()
    versions.check = () => {
      begun.resolve()
      return lost.promise
    }
    const { reader, openAgain } = await versions.after(appended(harvest('a')))
    const failing = reader.rows(page)
    await begun.promise
    versions.check = async () => {}
    const found = (await openAgain()).rows(page)
    lost.reject(new Error('the version was let go'))
    await expect(failing).rejects.toThrow('the version was let go')
    expect(await found).toEqual([{ name: 'a', batch: 1, boxes: 1 }])
  })

  test('sums and counts are taken over, too', async () => {
    await using versions = await Versions.begin(engine)
    const where = boxes(7)
    const read = async (reader: SnapshotReader) => [
      await reader.aggregate({ ...sums, where }),
      await reader.count('harvests', where),
      await reader.countGroups({ ...sums, where, groups: [{ column: 'name' }] }),
    ]
    await read((await versions.after(appended(harvest('a', { boxes: 7 })))).reader)
    for (const rows of [
      [harvest('b')],
      [harvest('c', { boxes: 7 })],
      [harvest('d')],
      [harvest('e'), harvest('f', { boxes: 7 })],
    ]) {
      const { reader, fresh } = await versions.after(appended(...rows))
      expect(await read(reader)).toEqual(await read(fresh))
    }
  })

  test('whatever is written, every version answers as one does of which nothing was read before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(steps, { minLength: 4, maxLength: 7 }),
        fc.array(pagePlans, { minLength: 2, maxLength: 3 }),
        fc.array(aggregateOf(harvests), { minLength: 1, maxLength: 2 }),
        fc.array(fc.tuple(fc.constantFrom('', 'a', 'b'), fc.constantFrom(null, 0, 1)), { minLength: 1, maxLength: 3 }),
        async (batches, pages, groups, keys) => {
          await using versions = await Versions.begin(engine)
          const begun = await versions.after(
            appended(...Array.from({ length: 40 }, (_, n) => harvest(`n${n}`, { boxes: n % 4, field: n % 3 }))),
            { is: 'append', table: 'plots', rows: [{ field: 1, part: null, growerId: 'a' }] },
          )
          const check = async ({ reader, fresh }: { reader: SnapshotReader; fresh: SnapshotReader }) => {
            for (const plan of pages) {
              expect(await pagesOf(reader, plan)).toEqual(await pagesOf(fresh, plan))
              const { where } = plan
              expect(await reader.count('harvests', where)).toEqual(await fresh.count('harvests', where))
            }
            for (const plan of groups) {
              expect(await groupsOf(reader, plan)).toEqual(await groupsOf(fresh, plan))
              expect(await reader.countGroups(plan)).toEqual(await fresh.countGroups(plan))
            }
            const byKeys = (of: SnapshotReader) => of.readByKeys('harvests', ['boxes'], ['name', 'batch'], keys)
            expect(new Set(await byKeys(reader))).toEqual(new Set(await byKeys(fresh)))
          }
          await check(begun)
          for (const { changes, hasNewBase, isReopened } of batches) {
            if (isReopened) await versions.reopen()
            const next = await versions.after(...changes, ...(hasNewBase ? [newBase] : []))
            if (hasNewBase && engine === duckdb) expect(next.files).toEqual(['model.duckdb'])
            await check(next)
          }
        },
      ),
      runs(3),
    )
  })
})
