import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { ALL, type Filter } from '../../src/engine/plan.ts'
import { checkKind } from '../../src/kinds/check.ts'
import type { Kind, Table } from '../../src/kinds/kind.ts'
import {
  MAX_WHERE_DEPTH,
  MAX_WHERE_OPERANDS,
  parseComparisons,
  parseMutationWhere,
  parseWhere,
} from '../../src/kinds/where.ts'
import definition from '../support/kinds/lab.ts'
import { refusal } from '../support/refusal.ts'

const NONE: Filter = { is: 'or', of: [] }
let lab: Kind
let readings: Table

beforeAll(() => {
  lab = checkKind(definition)
  const table = lab.tables.get('readings')
  if (!table) throw new Error('no readings')
  readings = table
})
const parse = (where: unknown) => parseWhere(lab, readings, where)
const refused = (where: unknown) => refusal(() => parse(where))

describe('parseWhere', () => {
  test('reads every operator, with operands in canonical form', () => {
    expect(parse({ counts: { eq: 5 } })).toEqual({ is: 'compare', column: 'counts', op: 'eq', value: '5' })
    expect(parse({ takenAt: { gte: '2024-01-01T01:00:00+01:00' } })).toEqual({
      is: 'compare',
      column: 'takenAt',
      op: 'gte',
      value: '2024-01-01T00:00:00.000000Z',
    })
    for (const op of ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'like', 'ilike'] as const) {
      expect(parse({ assay: { [op]: 'p%' } })).toEqual({ is: 'compare', column: 'assay', op, value: 'p%' })
    }
    expect(parse({ note: { isNull: true } })).toEqual({ is: 'null', column: 'note', negated: false })
    expect(parse({ note: { isNull: false } })).toEqual({ is: 'null', column: 'note', negated: true })
    expect(parse({ revision: { in: [1, 2] } })).toEqual({
      is: 'in',
      column: 'revision',
      values: [1, 2],
      negated: false,
    })
    expect(parse({ revision: { notIn: [1] } })).toEqual({ is: 'in', column: 'revision', values: [1], negated: true })
  })

  test('a decimal is compared with all its digits', () => {
    expect(parse({ amount: { gt: '1.23456789' } })).toMatchObject({ value: '1.23456789' })
    expect(parse({ amount: { in: [1, 1e-7] } })).toMatchObject({ values: ['1.000000', '0.0000001'] })
    expect(refused({ amount: { gt: '1e38' } }).message).toContain('where.amount.gt: "1e38" has too many digits')
  })

  test('several keys of one object must all hold, columns and operators alike', () => {
    const [from, to, valid] = [
      parse({ revision: { gte: 1 } }),
      parse({ revision: { lt: 3 } }),
      parse({ valid: { eq: true } }),
    ]
    expect(parse({ revision: { gte: 1, lt: 3 }, valid: { eq: true } })).toEqual({
      is: 'and',
      of: [{ is: 'and', of: [from, to] }, valid],
    })
  })

  test('nothing said is every row, no alternative none', () => {
    expect([{}, { and: [] }, { valid: {} }, { revision: { notIn: [] } }, { assay: undefined }].map(parse)).toEqual(
      Array(5).fill(ALL),
    )
    expect([{ or: [] }, { revision: { in: [] } }].map(parse)).toEqual([NONE, NONE])
    expect(parse({ not: {} })).toEqual({ is: 'not', of: ALL })
  })

  test('a reference leads to the filter of its own table, over several columns too', () => {
    expect(parse({ protocol: { title: { eq: 'pH' } } })).toEqual({
      is: 'through',
      as: 'protocol',
      of: { is: 'compare', column: 'title', op: 'eq', value: 'pH' },
    })
    expect(parse({ sample: {} })).toEqual({ is: 'through', as: 'sample', of: ALL })
    expect(refused({ protocol: { amount: { gt: 1 } } }).message).toContain('where.protocol: protocols has no "amount"')
  })

  test.each<[string, unknown, string]>([
    [
      'a column that is not there',
      { colour: { eq: 'red' } },
      'where: readings has no "colour"; there are and, or, not, sampleId',
    ],
    [
      'an operator of another type',
      { revision: { like: '1%' } },
      'where.revision: INTEGER has no operator "like"; there are eq',
    ],
    ['in of a boolean', { valid: { in: [true] } }, 'BOOLEAN has no operator "in"; there are eq, isNull'],
    ['a column of every object', { constructor: { eq: 'x' } }, 'readings has no "constructor"'],
    ['__proto__', JSON.parse('{"__proto__": {"eq": 1}}'), 'readings has no "__proto__"'],
    ['null', null, 'where: null is no filter'],
    ['a list', [], 'where: a list is no filter'],
    ['null for a column', { assay: null }, 'where.assay: null is no filter'],
    ['null for an operand', { assay: { eq: null } }, 'where.assay.eq: null is no operand; isNull: true asks for it'],
    ['null for isNull', { note: { isNull: null } }, 'where.note.isNull: null is no operand'],
    ['null in a list', { assay: { in: ['x', null] } }, 'where.assay.in[1]: null is no operand'],
    ['null in and', { and: [null] }, 'where.and[0]: null is no filter'],
    ['null for or', { or: null }, 'where.or: null is no list'],
    ['one element for a list', { and: { valid: { eq: true } } }, 'where.and: an object is no list'],
    ['one operand for a list', { assay: { in: 'x' } }, 'where.assay.in: "x" is no list'],
    [
      'the wrong type',
      { or: [{}, { not: { revision: { eq: '1' } } }] },
      'where.or[1].not.revision.eq: "1" is no INTEGER',
    ],
    ['a pattern that ends in an escape', { assay: { like: 'a\\' } }, 'ends with a backslash that escapes nothing'],
    ['the same behind an escaped one', { assay: { ilike: '\\\\\\' } }, 'ends with a backslash that escapes nothing'],
  ])('refuses %s', (_, where, message) => {
    const error = refused(where)
    expect(error.code).toBe('BAD_VALUE')
    expect(error.message).toContain(message)
  })

  test('a pattern may end with an escaped backslash', () => {
    expect(parse({ assay: { like: 'a\\\\' } })).toMatchObject({ value: 'a\\\\' })
  })

  test('the path begins as the caller says', () => {
    expect(refusal(() => parseWhere(lab, readings, { x: 1 }, 'input.where')).message).toMatch(/^input\.where: /)
  })

  test('nests as deep as it may and no deeper, whatever it nests by', () => {
    const key = fc.constantFrom('and', 'or', 'not')
    fc.assert(
      fc.property(fc.array(key, { minLength: MAX_WHERE_DEPTH - 2, maxLength: MAX_WHERE_DEPTH + 2 }), keys => {
        const where = keys.reduceRight<unknown>((inner, k) => ({ [k]: k === 'not' ? inner : [inner] }), {})
        if (keys.length < MAX_WHERE_DEPTH) parse(where)
        else expect(refused(where).message).toContain(`nests deeper than ${MAX_WHERE_DEPTH} levels`)
      }),
    )
  })

  test('holds as many operands as it may and no more, wherever they are', () => {
    const list = (length: number) => Array.from({ length }, (_, index) => index)
    parse({ revision: { in: list(MAX_WHERE_OPERANDS) } })
    parse({ or: list(MAX_WHERE_OPERANDS / 2).map(eq => ({ revision: { eq } })) })
    const tooMany = [
      { revision: { in: list(MAX_WHERE_OPERANDS + 1) } },
      { revision: { in: list(MAX_WHERE_OPERANDS), eq: 1 } },
      { and: list(3).map(() => ({ revision: { in: list(MAX_WHERE_OPERANDS / 2) } })) },
      { or: list(MAX_WHERE_OPERANDS + 1).map(() => ({})) },
    ]
    for (const where of tooMany) expect(refused(where).message).toContain(`the ${MAX_WHERE_OPERANDS} operands`)
  })

  test('means what the client wrote', () => {
    const row = fc.record({ revision: fc.integer({ min: 0, max: 3 }), valid: fc.boolean() })
    fc.assert(
      fc.property(wheres, fc.array(row, { minLength: 1, maxLength: 5 }), (where, rows) => {
        const filter = parse(where)
        for (const each of rows) expect(selects(filter, each)).toBe(means(where, each))
      }),
      { numRuns: 1000 },
    )
  })
})

describe('parseMutationWhere', () => {
  test.each<[string, unknown]>([
    ['nothing', {}],
    ['nothing, in and', { and: [{}, { and: [] }] }],
    ['nothing, in or', { or: [{}] }],
    ['no alternative', { or: [] }],
    ['not nothing', { not: {} }],
    ['a column and no operator', { revision: {} }],
    ['an empty list of exceptions', { revision: { notIn: [] } }],
    ['an alternative that is every row', { or: [{ revision: { eq: 1 } }, {}] }],
    ['the opposite of none', { not: { revision: { in: [] } } }],
  ])('refuses %s', (_, where) => {
    const error = refusal(() => parseMutationWhere(lab, readings, where))
    expect(error.code).toBe('BAD_VALUE')
    expect(error.message).toBe('where: says no condition; to mean every row write {sampleId: {isNull: false}}')
  })

  test.each<[string, unknown]>([
    ['an operator', { revision: { eq: 1 } }],
    ['an empty list to choose from', { revision: { in: [] } }],
    ['every row, said', { sampleId: { isNull: false } }],
    ['a reference that leads somewhere', { sample: {} }],
    ['a reference that does not', { not: { sample: {} } }],
    ['an alternative that is none', { or: [{ revision: { eq: 1 } }, { or: [] }] }],
  ])('takes %s, as parseWhere does', (_, where) => {
    expect(parseMutationWhere(lab, readings, where)).toEqual(parse(where))
  })
})

test('parseComparisons reads the operators alone, for measures', () => {
  const sum = { name: 'amount', type: 'DECIMAL(38,6)' } as const
  expect(parseComparisons(sum, { gt: 5 }, 'having[0].is')).toEqual({
    is: 'compare',
    column: 'amount',
    op: 'gt',
    value: '5.000000',
  })
  expect(refusal(() => parseComparisons(sum, { like: '5' }, 'having[0].is')).message).toMatch(/^having\[0\]\.is: /)
})

type Where = Readonly<Record<string, unknown>>
type Known = Readonly<Record<string, number | boolean>>

const revision = fc.integer({ min: 0, max: 3 })
const revisions = fc.array(revision, { maxLength: 2 })
const conditions = {
  revision: fc.record(
    { eq: revision, neq: revision, gt: revision, lte: revision, in: revisions, notIn: revisions, isNull: fc.boolean() },
    { requiredKeys: [] },
  ),
  valid: fc.record({ eq: fc.boolean() }, { requiredKeys: [] }),
}

/** Filters over two columns without nulls, of every form that takes no reference. */
const { wheres } = fc.letrec<{ wheres: Where; list: Where[] }>(tie => ({
  wheres: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.record(conditions, { requiredKeys: [] }),
    fc.record({ ...conditions, and: tie('list'), or: tie('list'), not: tie('wheres') }, { requiredKeys: [] }),
  ),
  list: fc.array(tie('wheres'), { maxLength: 2 }),
}))

const OPERATORS: Record<string, (value: unknown, operand: unknown) => boolean> = {
  eq: (value, operand) => value === operand,
  neq: (value, operand) => value !== operand,
  gt: (value, operand) => Number(value) > Number(operand),
  lte: (value, operand) => Number(value) <= Number(operand),
  in: (value, operand) => (operand as unknown[]).includes(value),
  notIn: (value, operand) => !(operand as unknown[]).includes(value),
  isNull: (_, operand) => operand === false,
}

/** What the client's own text means for a row. */
function means(where: Where, row: Known): boolean {
  return Object.entries(where).every(([key, value]) => {
    if (key === 'and') return (value as Where[]).every(part => means(part, row))
    if (key === 'or') return (value as Where[]).some(part => means(part, row))
    if (key === 'not') return !means(value as Where, row)
    return Object.entries(value as Where).every(([operator, operand]) => OPERATORS[operator]?.(row[key], operand))
  })
}

/** What the filter says of a row. */
function selects(filter: Filter, row: Known): boolean {
  switch (filter.is) {
    case 'and':
      return filter.of.every(part => selects(part, row))
    case 'or':
      return filter.of.some(part => selects(part, row))
    case 'not':
      return !selects(filter.of, row)
    case 'compare':
      return OPERATORS[filter.op]?.(row[filter.column], filter.value) ?? false
    case 'in':
      return filter.values.some(value => value === row[filter.column]) !== filter.negated
    case 'null':
      return filter.negated
    case 'through':
      throw new Error('no reference was asked for')
  }
}
