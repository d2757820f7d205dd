import { describe, expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import type { Table } from '../../src/kinds/kind.ts'
import { coercePatch, coerceRows, MAX_ROWS } from '../../src/kinds/validate.ts'
import { MAX_CELLS } from '../../src/platform/errors.ts'
import definition from '../support/kinds/lab.ts'
import { refusal } from '../support/refusal.ts'

const lab = checkKind(definition)
const table = (name: string): Table => {
  const found = lab.tables.get(name)
  if (!found) throw new Error(`no ${name}`)
  return found
}
const samples = table('samples')
const sample = { sampleId: 's1', collectedAt: '2024-01-01T00:00:00Z' }

describe('coerceRows', () => {
  test('gives whole rows in the order of the columns, null where nothing was said', () => {
    const rows = coerceRows(samples, [
      { volume: 1.5, ...sample },
      { ...sample, volume: null, origin: undefined },
    ])
    const whole = { sampleId: 's1', collectedAt: '2024-01-01T00:00:00.000000Z', volume: '1.500', origin: null }
    expect(rows).toEqual([whole, { ...whole, volume: null }])
    expect(rows.map(row => Object.keys(row))).toEqual(Array(2).fill([...samples.columns.keys()]))
  })

  test('names every cell at fault, with rows from 1', () => {
    const error = refusal(() =>
      coerceRows(samples, [
        sample,
        { sampleId: null, volume: '1.2345', colour: 'red' },
        null,
        { ...sample, origin: 7 },
      ]),
    )
    expect(error.code).toBe('BAD_VALUE')
    expect(error.message).toBe(
      'row 2, colour: samples has no such column; there are sampleId, collectedAt, volume, origin; and 5 more',
    )
    expect(error.cells.map(({ row, column }) => [row, column])).toEqual([
      [2, 'colour'],
      [2, 'sampleId'],
      [2, 'collectedAt'],
      [2, 'volume'],
      [3, undefined],
      [4, 'origin'],
    ])
    expect(error.cells[3]?.message).toContain('"1.2345" is no DECIMAL(9,3)')
  })

  test('a column that every object has a name like is missing where it is missing', () => {
    const odd = checkKind({
      name: 'odd',
      description: 'Names that JavaScript knows.',
      engines: ['DUCKDB'],
      tables: {
        things: {
          row: 'Thing',
          description: 'x',
          columns: { constructor: 'VARCHAR', toString: 'VARCHAR?' },
          key: ['constructor'],
          writes: [],
        },
      },
    })
    const things = odd.tables.get('things') ?? samples
    expect(coerceRows(things, [{ constructor: 'a' }])).toEqual([{ constructor: 'a', toString: null }])
    expect(refusal(() => coerceRows(things, [{}])).message).toBe('row 1, constructor: is required, and cannot be null')
  })

  test('stops looking where no more cells would be named', () => {
    const error = refusal(() => coerceRows(samples, Array(MAX_ROWS).fill({})))
    expect(error.cells).toHaveLength(MAX_CELLS)
    expect(error.message).toBe('row 1, sampleId: is required, and cannot be null; and more')
  })

  test('takes at least one row and at most as many as one mutation may hold', () => {
    expect(coerceRows(samples, Array(MAX_ROWS).fill(sample))).toHaveLength(MAX_ROWS)
    expect(refusal(() => coerceRows(samples, [])).message).toBe('rows: the list is empty; give at least one row')
    expect(refusal(() => coerceRows(samples, Array(MAX_ROWS + 1).fill(sample))).message).toContain('import them')
  })
})

describe('coercePatch', () => {
  test('gives the columns that are set, and null where it may be', () => {
    expect(coercePatch(samples, { volume: 2, origin: null })).toEqual({ volume: '2.000', origin: null })
    expect(coercePatch(samples, { volume: 2, collectedAt: undefined })).toEqual({ volume: '2.000' })
  })

  test.each<[string, unknown, string]>([
    ['nothing', {}, 'set: sets nothing'],
    ['nothing but what is undefined', { volume: undefined }, 'set: sets nothing'],
    ['a column of the key', { sampleId: 's2', volume: 1 }, 'sampleId: is a column of the key and cannot be set'],
    ['null where there must be a value', { collectedAt: null }, 'collectedAt: is required, and cannot be null'],
    ['a column that is not there', { colour: 'red' }, 'colour: samples has no such column'],
    ['the wrong type', { volume: 'much' }, 'volume: "much" is no DECIMAL(9,3)'],
    ['no object', 'x', '"x" is no row'],
  ])('refuses %s', (_, set, message) => {
    const error = refusal(() => coercePatch(samples, set))
    expect(error.code).toBe('BAD_VALUE')
    expect(error.message).toContain(message)
  })
})
