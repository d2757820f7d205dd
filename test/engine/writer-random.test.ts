import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Change, WorkOutcome } from '../../src/engine/engine.ts'
import { ALL, type Filter } from '../../src/engine/plan.ts'
import type { Table } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'
import { TeatreeError } from '../../src/platform/errors.ts'
import { LONGER } from '../support/longer.ts'
import { engines } from './engines.ts'
import { orchard } from './reader-model.ts'
import { Oracle } from './reader-oracle.ts'
import { filterOn, rowsOf, tableOf } from './reader-plans.ts'
import { WriterModel } from './writer-model.ts'

type RowChange =
  | { is: 'append'; table: string; rows: Row[] }
  | { is: 'upsert'; table: string; rows: Row[] }
  | { is: 'update'; table: string; where: Filter; set: Row }
  | { is: 'delete'; table: string; where: Filter }
type Found = { written: Row } | { conflicts: (number | undefined)[] }

/** What the changes mean, a row at a time. */
class RowsByKey {
  readonly #tables = new Map([...orchard.tables.keys()].map(name => [name, new Map<string, Row>()]))

  apply(change: RowChange): Found {
    const table = tableOf(change.table)
    const rows = this.#tables.get(table.name) ?? new Map<string, Row>()
    const counts = { inserted: 0, updated: 0, deleted: 0 }
    if (change.is === 'append') {
      const keys = change.rows.map(row => keyOf(table, row))
      const conflicts = keys.flatMap((key, at) => (rows.has(key) || keys.indexOf(key) < at ? [at + 1] : []))
      if (conflicts.length > 0) return { conflicts }
    }
    if (change.is === 'append' || change.is === 'upsert') {
      const had = new Set(rows.keys())
      for (const row of change.rows) rows.set(keyOf(table, row), whole(table, row))
      const keys = [...new Set(change.rows.map(row => keyOf(table, row)))]
      counts.updated = keys.filter(key => had.has(key)).length
      counts.inserted = keys.length - counts.updated
    } else if (change.is === 'update') {
      const selected = this.#select(table, change.where)
      for (const row of selected) rows.set(keyOf(table, row), { ...row, ...change.set })
      counts.updated = selected.length
    } else {
      const selected = this.#select(table, change.where)
      for (const row of selected) rows.delete(keyOf(table, row))
      counts.deleted = selected.length
    }
    const { inserted, updated, deleted } = counts
    const texts = { inserted: String(inserted), updated: String(updated), deleted: String(deleted) }
    return { written: { table: table.name, ...texts } }
  }

  rows(table: string): Row[] {
    return [...(this.#tables.get(table)?.values() ?? [])]
  }

  #select(table: Table, where: Filter): Row[] {
    const tables = Object.fromEntries([...this.#tables.keys()].map(name => [name, this.rows(name)]))
    const columns = [...table.columns.keys()]
    return new Oracle(orchard, tables).rows({ table: table.name, columns, where, orderBy: [], limit: 1_000_000 })
  }
}

const keyOf = (table: Table, row: Row) => JSON.stringify(table.key.map(name => row[name] ?? null))
const whole = (table: Table, row: Row): Row =>
  Object.fromEntries([...table.columns.keys()].map(name => [name, row[name] ?? null]))

/** Keys of few values, with nulls among them, so that they meet. */
const KEYS: Record<string, fc.Arbitrary<string | number | null>> = {
  growerId: fc.constantFrom('a', 'A', '\uFFFD', '\u{1F600}'),
  field: fc.integer({ min: 0, max: 2 }),
  part: fc.constantFrom(null, '', 'a'),
  name: fc.constantFrom('', 'é', '\u{1F600}', "o'x"),
  batch: fc.constantFrom(null, 0, 1),
}

function someRows(table: Table): fc.Arbitrary<Row[]> {
  const keys = fc.record(Object.fromEntries(table.key.map(name => [name, KEYS[name] ?? fc.constant(null)])))
  return fc
    .array(fc.tuple(rowsOf(table, 1), keys), { minLength: 1, maxLength: 4 })
    .map(rows => rows.map(([[row], key]) => ({ ...(row ?? minimal(table)), ...key }) as Row))
}

/** A row of which everything that may be is left out. */
const minimal = (table: Table): Row =>
  Object.fromEntries([...table.columns.values()].filter(({ nullable }) => !nullable).map(({ name }) => [name, 0]))

function someChange(table: Table): fc.Arbitrary<RowChange> {
  const rows = someRows(table)
  const where = filterOn(table, 1)
  const settable = [...table.columns.keys()].filter(name => !table.key.includes(name))
  const set = fc
    .tuple(rowsOf(table, 1), fc.subarray(settable, { minLength: 1 }))
    .map(([[row], names]) => Object.fromEntries(names.map(name => [name, row?.[name] ?? null])))
  const is = { table: table.name }
  return fc.oneof(
    { weight: 4, arbitrary: rows.map((rows): RowChange => ({ is: 'append', ...is, rows })) },
    { weight: 3, arbitrary: rows.map((rows): RowChange => ({ is: 'upsert', ...is, rows })) },
    { weight: 1, arbitrary: fc.record({ where, set }).map((both): RowChange => ({ is: 'update', ...is, ...both })) },
    { weight: 1, arbitrary: where.map((where): RowChange => ({ is: 'delete', ...is, where })) },
  )
}

const tables = [...orchard.tables.values()]
const someBatches = fc.array(fc.array(fc.oneof(...tables.map(someChange)), { minLength: 1, maxLength: 12 }), {
  minLength: 1,
  maxLength: 4,
})

const foundIn = (outcome: WorkOutcome): Found => {
  if (outcome.ok) return { written: outcome.result }
  if (!(outcome.error instanceof TeatreeError) || outcome.error.code !== 'KEY_CONFLICT') throw outcome.error
  return { conflicts: outcome.error.cells.map(({ row }) => row) }
}

test.each(engines)(
  '$name: batches of changes leave the rows and have the outcomes that they would have one after the other',
  async engine => {
    await using model = await WriterModel.open(orchard, { engine })
    const deleteAll = tables.map(({ name }): Change => ({ is: 'delete', table: name, where: ALL }))
    await fc.assert(
      fc.asyncProperty(someBatches, async batches => {
        await model.apply(...deleteAll)
        const expected = new RowsByKey()
        for (const batch of batches) {
          const outcomes = await model.apply(...batch)
          expect(outcomes.map(foundIn)).toEqual(batch.map(change => expected.apply(change)))
        }
        const { files } = await model.snapshot()
        for (const { name, key } of tables) {
          const found = await engine.rows(files, orchard, name)
          const byKey = (rows: Row[]) => new Map(rows.map(row => [JSON.stringify(key.map(each => row[each])), row]))
          expect(found).toHaveLength(expected.rows(name).length)
          expect(byKey(found)).toEqual(byKey(expected.rows(name)))
        }
      }),
      { numRuns: 15 * LONGER },
    )
  },
)
