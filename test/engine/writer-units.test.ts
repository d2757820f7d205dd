import { expect, test } from 'vitest'
import { singly, type Unit, unitsOf } from '../../src/engine/batch-units.ts'
import type { Change, Work } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'

const work = (change: Change, place: number): Work => ({
  intentId: String(place),
  seq: BigInt(place),
  submittedAt: '2013-01-31T09:00:00.000000Z',
  change,
  signal: new AbortController().signal,
  onStep: () => {},
})
const rows = (is: 'append' | 'upsert', table: string, count = 1): Change => ({
  ...{ is, table },
  rows: Array.from({ length: count }, () => ({})),
})
const remove = (table: string): Change => ({ is: 'delete', table, where: ALL })
const call: Change = { is: 'function', name: 'f', args: {}, reads: [] }

const shown = (unit: Unit): string =>
  unit.is === 'single' ? `${unit.work.change.is} ${unit.place}` : `${unit.is} ${unit.table} ${unit.places.join(' ')}`
const plan = (...changes: Change[]): string[][] => unitsOf(changes.map(work)).map(units => units.map(shown))

test('appends to one table come together, over others in between', () => {
  const changes = [rows('append', 'a'), rows('append', 'b'), rows('append', 'a'), rows('append', 'b')]
  expect(plan(...changes)).toEqual([['append a 0 2', 'append b 1 3']])
})

test('but not over another way of writing that table, nor over what may see them', () => {
  expect(plan(rows('append', 'a'), rows('upsert', 'a'), rows('append', 'a'), remove('b'), rows('append', 'a'))).toEqual(
    [['append a 0', 'upsert a 1', 'append a 2', 'delete 3', 'append a 4']],
  )
})

test('a function has a transaction of its own', () => {
  expect(plan(rows('append', 'a'), call, call, rows('append', 'a'), remove('a'))).toEqual([
    ['append a 0'],
    ['function 1'],
    ['function 2'],
    ['append a 3', 'delete 4'],
  ])
  expect(plan()).toEqual([])
})

test('so many rows come together and no more', () => {
  expect(plan(rows('append', 'a', 30_000), rows('append', 'a', 20_000), rows('append', 'a', 1))).toEqual([
    ['append a 0 1', 'append a 2'],
  ])
})

test('can be taken apart again', () => {
  const [[unit] = []] = unitsOf([rows('append', 'a', 2), rows('append', 'a', 3)].map(work))
  if (!unit) throw new Error('there is no unit')
  expect(singly(unit).map(shown)).toEqual(['append a 0', 'append a 1'])
  expect(singly(unit).map(each => (each.is === 'single' ? 0 : each.rows[0]?.length))).toEqual([2, 3])
})
