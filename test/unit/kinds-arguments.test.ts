import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import type { KindFunction, KindQuery } from '../../src/kinds/kind.ts'
import { canonicalJson, coerceArguments, MAX_ITEMS } from '../../src/kinds/validate.ts'
import definition from '../support/kinds/lab.ts'
import { refusal } from '../support/refusal.ts'

const lab = checkKind(definition)
const spec = (name: string): KindFunction | KindQuery => {
  const found = lab.functions.get(name) ?? lab.queries.get(name)
  if (!found) throw new Error(`no ${name}`)
  return found
}

/** What runTrial needs and no more. */
const trial = {
  title: 'First',
  budget: 5,
  firstDay: '2024-01-01',
  window: { from: '2024-01-01', to: '2024-02-01' },
  assays: ['ph'],
  where: { amount: { gt: 1 } },
}
const run = (changes: Record<string, unknown>) => coerceArguments(lab, spec('runTrial'), { ...trial, ...changes })
const refused = (changes: Record<string, unknown>) => refusal(() => run(changes))

describe('coerceArguments', () => {
  test('fills in defaults and nulls, in canonical form and the order of the definition', () => {
    const args = run({})
    expect(args).toEqual({
      title: 'First',
      replicates: 1,
      budget: '5',
      tolerance: '0.050000',
      weight: 1,
      blind: false,
      firstDay: '2024-01-01',
      plannedFor: null,
      priority: 'ROUTINE',
      window: { from: '2024-01-01', to: '2024-02-01', reason: null },
      assays: ['ph'],
      where: { amount: { gt: 1 } },
      orders: null,
      ordersVersion: null,
    })
    expect(Object.keys(args)).toEqual(Object.keys(spec('runTrial').arguments))
  })

  test('what is null or undefined was left out', () => {
    const nothing = { replicates: null, tolerance: undefined, priority: null, plannedFor: null, orders: undefined }
    expect(run(nothing)).toEqual(run({}))
  })

  test('takes what is given', () => {
    const given = {
      tolerance: 0.5,
      priority: 'URGENT',
      plannedFor: '2024-01-01T10:00:00+02:00',
      orders: 'shop-1',
      ordersVersion: 3,
    }
    expect(run(given)).toMatchObject({ ...given, tolerance: '0.500000', plannedFor: '2024-01-01T08:00:00.000000Z' })
  })

  test('what came out can go in again', () => {
    const args = run({ orders: 'shop-1' })
    expect(coerceArguments(lab, spec('runTrial'), args)).toEqual(args)
    expect(JSON.parse(JSON.stringify(args))).toEqual(args)
  })

  test('a where stays as it was written, but safe for JSON', () => {
    const where = { or: [{ counts: { in: [5n, '6'] } }, { valid: undefined, sample: {} }] }
    expect(run({ where }).where).toEqual({ or: [{ counts: { in: ['5', '6'] } }, { sample: {} }] })
  })

  test.each<[string, Record<string, unknown>, string]>([
    ['what is required', { title: null }, 'title: is required'],
    ['a field that is required', { window: { from: '2024-01-01' } }, 'window.to: is required'],
    ['a value in an object', { window: { from: 'x', to: '2024-01-01' } }, 'window.from: "x" is no DATE'],
    ['no object', { window: [] }, 'window: a list is no object; there are from, to, reason'],
    ['an argument that is not there', { colour: 1 }, 'arguments: no field "colour"; there are title, replicates'],
    [
      'a field that is not there',
      { window: { ...trial.window, x: 1 } },
      'window: no field "x"; there are from, to, reason',
    ],
    ['a name of every object', { constructor: 1 }, 'arguments: no field "constructor"'],
    ['one item for a list', { assays: 'ph' }, 'assays: "ph" is no list'],
    ['null in a list', { assays: ['ph', null] }, 'assays[1]: is required'],
    ['the wrong item', { assays: [7] }, 'assays[0]: 7 is no VARCHAR'],
    ['too long a list', { assays: Array(MAX_ITEMS + 1).fill('x') }, `give at most ${MAX_ITEMS}`],
    [
      'no value of the enum',
      { priority: 'toString' },
      'priority: "toString" is no Priority; there are ROUTINE, URGENT',
    ],
    ['no model id', { orders: 'Shop 1' }, 'orders: "Shop 1" is no model id'],
    ['too long a model id', { orders: 'x'.repeat(64) }, 'is no model id'],
    ['a filter without a condition', { where: {} }, 'where: says no condition'],
    ['a filter on another table', { where: { or: [{ name: { eq: 'x' } }] } }, 'where.or[0]: readings has no "name"'],
    ['what its own check refuses', { replicates: 0 }, 'replicates: must be at least 1'],
  ])('refuses %s', (_, changes, message) => {
    const error = refused(changes)
    expect(error.code).toBe('BAD_VALUE')
    expect(error.message).toContain(message)
  })

  test('asks the check of a query too, and only once all arguments are good', () => {
    const outside = (raw: Record<string, unknown>) => () => coerceArguments(lab, spec('outsideLimits'), raw)
    expect(outside({ assay: 'ph' })()).toEqual({ assay: 'ph', revision: 1, tolerance: '0.000000' })
    expect(refusal(outside({ assay: 'ph', tolerance: '-1' })).message).toBe('tolerance: must not be below 0')
    expect(refusal(outside({ tolerance: '-1' })).message).toBe('assay: is required')
  })
})

describe('canonicalJson', () => {
  test('says values as JSON does, and integers of 64 bits as their digits', () => {
    const value = { b: [1, 'a"', null, true, undefined], a: { d: 2n, c: undefined } }
    expect(canonicalJson(value)).toBe('{"a":{"d":"2"},"b":[1,"a\\"",null,true,null]}')
    expect(canonicalJson(undefined)).toBe('null')
  })

  test('is the same for the same value and another for another, whatever the order of keys', () => {
    const shuffled = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(shuffled)
      if (typeof value !== 'object' || value === null) return value
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, item]) => [key, shuffled(item)]),
      )
    }
    fc.assert(
      fc.property(fc.jsonValue({ noUnicodeString: false }), value => {
        expect(canonicalJson(shuffled(value))).toBe(canonicalJson(value))
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})
