import fc from 'fast-check'
import { expect, test } from 'vitest'
import { filesOfPage, mayHold } from '../../src/engine/arrow/file-pruning.ts'
import type { TableFile } from '../../src/engine/arrow/manifest.ts'
import { ALL, type Filter, type RowsPlan } from '../../src/engine/plan.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { orchard } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { conditionOn, direction, filterOn, rowsOf, runs, tableOf } from './reader-plans.ts'

const harvests = tableOf('harvests')

/** A file as the writer tells of one, by the names in it. */
function fileOf(names: readonly string[], index: number): TableFile {
  const [least, most] = [names[0] ?? '', names.at(-1) ?? '']
  return { name: `${index}`, rows: names.length, bytes: 0, sha256: `${index}`, ranges: { name: [least, most] } }
}
const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b))
const files = fc
  .array(
    rowsOf(harvests, 6).filter(rows => rows.length > 0),
    { minLength: 1, maxLength: 5 },
  )
  .map(parts => parts.map(rows => rows.map((row, index): Row => ({ ...row, batch: index }))))

test('a file that may hold nothing has no row that the filter selects', async () => {
  const filters = fc.oneof(conditionOn('name', 'VARCHAR'), filterOn(harvests))
  await fc.assert(
    fc.property(files, filters, (parts, where) => {
      for (const [index, rows] of parts.entries()) {
        const file = fileOf(rows.map(row => String(row.name)).sort(byBytes), index)
        if (mayHold(harvests, file, where)) continue
        const oracle = new Oracle(orchard, { harvests: rows, plots: [], growers: [] })
        expect(oracle.count('harvests', where)).toBe(0n)
      }
    }),
    runs(300),
  )
})

test('no row of a page is in a file that is left out', async () => {
  const where = fc.oneof({ weight: 3, arbitrary: fc.constant(ALL) }, { weight: 1, arbitrary: filterOn(harvests, 1) })
  const plan = fc.record({ where, direction, last: fc.boolean(), limit: fc.integer({ min: 1, max: 5 }) })
  const positions = fc.tuple(fc.option(fc.nat(20)), fc.option(fc.nat(20)))
  await fc.assert(
    fc.property(files, plan, positions, (parts, { direction, ...rest }, [from, to]) => {
      const rows = parts.flatMap((part, file) => part.map((row, index) => ({ ...row, batch: file * 100 + index })))
      const oracle = new Oracle(orchard, { harvests: rows, plots: [], growers: [] })
      const orderBy = [
        { column: 'name', direction, nulls: 'LAST' },
        { column: 'batch', direction: 'ASC', nulls: 'LAST' },
      ] as const
      const whole: RowsPlan = { table: 'harvests', columns: [], orderBy, ...rest }
      const every = oracle.rows({ ...whole, where: ALL, limit: 1_000 })
      const at = (index: number | null): Value[] | null => {
        const row = index === null ? undefined : every[index]
        return row ? [row.name ?? null, row.batch ?? null] : null
      }
      const [after, before] = [at(from), at(to)]
      const page: RowsPlan = { ...whole, ...(after && { after }), ...(before && { before }) }
      const all = parts.map((part, index) => fileOf(part.map(row => String(row.name)).sort(byBytes), index))
      const kept = new Set(filesOfPage(harvests, all, page).map(({ name }) => name))
      for (const row of oracle.rows(page)) expect(kept).toContain(String(Math.floor(Number(row.batch) / 100)))
    }),
    runs(300),
  )
})

test('of a table in the order of its key a page and a key are in few files', () => {
  const all = ['ab', 'cd', 'ef', 'gh'].map((names, index) => fileOf([...names], index))
  const orderBy = [{ column: 'name', direction: 'ASC', nulls: 'LAST' }] as const
  const page: RowsPlan = { table: 'harvests', columns: [], where: ALL, orderBy, limit: 2 }
  const namesOf = (plan: RowsPlan) => filesOfPage(harvests, all, plan).map(({ name }) => name)
  expect(namesOf(page)).toEqual(['0'])
  expect(namesOf({ ...page, last: true })).toEqual(['3'])
  expect(namesOf({ ...page, after: ['c', 1] })).toEqual(['1', '2'])
  expect(namesOf({ ...page, before: ['f', 1], last: true })).toEqual(['1', '2'])
  const key: Filter = { is: 'in', column: 'name', values: ['d'], negated: false }
  expect(all.filter(file => mayHold(harvests, file, key)).map(({ name }) => name)).toEqual(['1'])
})
