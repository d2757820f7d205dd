import { describe, expect, test } from 'vitest'
import { checkKind } from '../../src/kinds/check.ts'
import type { Row } from '../../src/kinds/types.ts'
import lab from '../support/kinds/lab.ts'
import { engines } from './engines.ts'
import { refusedWith, resultOf, WriterModel } from './writer-model.ts'

const kind = checkKind(lab)

const calibration = (instrumentId: string, day: string, factor = '1.00000000'): Row => ({ instrumentId, day, factor })
const protocol = (assay: string, revision: number, title = assay): Row => ({
  assay,
  revision,
  title,
  lowerLimit: null,
  upperLimit: '9.500000',
})
const sample = (sampleId: string, origin: string | null = null): Row => ({
  sampleId,
  collectedAt: '2013-01-31T09:00:00.000001Z',
  volume: null,
  origin,
})
const reading = (sampleId: string, replicate: number | null, more: Partial<Row> = {}): Row => ({
  ...{ sampleId, assay: 'pH', revision: 1, replicate, instrumentId: null, takenOn: '2013-01-31' },
  ...{ takenAt: '2013-01-31T23:59:59.999999Z', amount: '7.000000', counts: '9007199254740993', signal: 0.1 },
  ...{ valid: true, note: null, uncertainty: null, background: null, drift: null, reviewed: null },
  ...{ reviewedOn: null, reviewedAt: null },
  ...more,
})

describe.each(engines)('$name', engine => {
  describe('append', () => {
    test('keeps every value as it was given', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const rows = [
        reading('Ü\'"\\\n\u2028😀', null, {
          uncertainty: '1234567890123456789012345678.0123456789',
          background: '-9223372036854775808',
          drift: 5e-324,
          reviewed: false,
          reviewedOn: '0001-01-01',
          reviewedAt: '9999-12-31T23:59:59.999999Z',
          note: '',
        }),
        reading('é', 1, { signal: 0.1 + 0.2, amount: '-999999999999.999999', drift: 1.7976931348623157e308 }),
      ]
      const [outcome] = await model.apply({ is: 'append', table: 'readings', rows })
      expect(resultOf(outcome)).toEqual({ table: 'readings', inserted: '2', updated: '0', deleted: '0' })
      expect(await model.rows('readings')).toEqual(rows)
    })

    test('of a row alone keeps every value, too, and refuses its key from then on, with nulls in it', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const rows = [
        reading('e', null, { signal: 3, drift: -0.5 }),
        reading('Ü\'"\\\n\u2028😀', null, {
          uncertainty: '1234567890123456789012345678.0123456789',
          background: '-9223372036854775808',
          drift: 5e-324,
          reviewed: false,
          reviewedOn: '0001-01-01',
          reviewedAt: '9999-12-31T23:59:59.999999Z',
          note: '',
        }),
        reading('é', 1, { signal: 0.1 + 0.2, amount: '-999999999999.999999', drift: 1.7976931348623157e308 }),
      ]
      for (const row of rows) {
        const append = { is: 'append', table: 'readings', rows: [row] } as const
        const [outcome] = await model.apply(append)
        expect(resultOf(outcome)).toEqual({ table: 'readings', inserted: '1', updated: '0', deleted: '0' })
        const [again] = await model.apply(append)
        expect(refusedWith(again).cells).toMatchObject([
          { row: 1, message: expect.stringMatching(/is there already$/) },
        ])
      }
      expect(await model.rows('readings')).toEqual(rows)
    })

    test('of a key that is there is refused, with the row and the key', async () => {
      await using model = await WriterModel.open(kind, { engine })
      await model.apply({ is: 'append', table: 'protocols', rows: [protocol('pH', 1), protocol('pH', 2)] })
      const [outcome] = await model.apply({
        is: 'append',
        table: 'protocols',
        rows: [protocol('pH', 3), protocol('pH', 2, 'another'), protocol('Cl', 1), protocol('pH', 1)],
      })
      const error = refusedWith(outcome)
      expect(error.code).toBe('KEY_CONFLICT')
      expect(error.cells).toEqual([
        { row: 2, column: 'assay, revision', message: '"pH", 2 is there already' },
        { row: 4, column: 'assay, revision', message: '"pH", 1 is there already' },
      ])
      expect(error.message).toBe('row 2: the key (assay, revision) "pH", 2 is there already in protocols; and 1 more')
      expect(await model.rows('protocols')).toEqual([protocol('pH', 1), protocol('pH', 2)])
    })

    test('of the same key twice is refused, and nulls are equal in a key', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const [twice, once, again] = await model.apply(
        { is: 'append', table: 'readings', rows: [reading('a', null), reading('a', 1), reading('a', null)] },
        { is: 'append', table: 'readings', rows: [reading('a', null)] },
        { is: 'append', table: 'readings', rows: [reading('a', null)] },
      )
      expect(refusedWith(twice).cells).toEqual([
        {
          row: 3,
          column: 'sampleId, assay, revision, replicate',
          message: '"a", "pH", 1, null is there twice in these rows',
        },
      ])
      expect(resultOf(once).inserted).toBe('1')
      expect(refusedWith(again).cells[0]?.message).toMatch(/is there already/)
      expect(await model.rows('readings')).toEqual([reading('a', null)])
    })

    test('written together refuse exactly those that would be refused one after the other', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const append = (...rows: Row[]) => ({ is: 'append', table: 'calibrations', rows }) as const
      const [day1, day2, day3] = ['2013-01-01', '2013-01-02', '2013-01-03']
      const outcomes = await model.apply(
        append(calibration('a', day1), calibration('b', day1)),
        // refused by the first, so that its c is still free
        append(calibration('c', day1), calibration('b', day1)),
        append(calibration('c', day1, '0.50000000')),
        // refused by itself, so that its d is still free
        append(calibration('d', day2), calibration('d', day2)),
        append(calibration('d', day2)),
        append(calibration('e', day3)),
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false, true, true])
      expect(await model.rows('calibrations')).toEqual([
        calibration('a', day1),
        calibration('b', day1),
        calibration('c', day1, '0.50000000'),
        calibration('d', day2),
        calibration('e', day3),
      ])
      expect([model.writer.version, model.writer.lastSeq]).toEqual([1, 6n])
    })

    test('to several tables in turn, with upserts and deletes between, keeps the order that shows', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const outcomes = await model.apply(
        { is: 'append', table: 'samples', rows: [sample('a')] },
        { is: 'append', table: 'protocols', rows: [protocol('pH', 1)] },
        { is: 'append', table: 'samples', rows: [sample('b')] },
        { is: 'upsert', table: 'samples', rows: [sample('a', 'upserted')] },
        { is: 'append', table: 'samples', rows: [sample('a')] },
        { is: 'delete', table: 'samples', where: { is: 'compare', column: 'sampleId', op: 'eq', value: 'b' } },
        { is: 'append', table: 'samples', rows: [sample('b', 'again')] },
        { is: 'append', table: 'protocols', rows: [protocol('pH', 1)] },
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, true, true, true, false, true, true, false])
      expect(await model.rows('samples')).toEqual([sample('a', 'upserted'), sample('b', 'again')])
      expect(await model.rows('protocols')).toEqual([protocol('pH', 1)])
    })

    test('names the first hundred cells at fault and says that there are more', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const rows = Array.from({ length: 300 }, (_, index) => sample(`s${index}`))
      await model.apply({ is: 'append', table: 'samples', rows })
      const [outcome] = await model.apply({ is: 'append', table: 'samples', rows })
      expect(refusedWith(outcome).cells.map(({ row }) => row)).toEqual(Array.from({ length: 100 }, (_, row) => row + 1))
      expect(refusedWith(outcome).message).toMatch(/; and more$/)
    })
  })

  describe('upsert', () => {
    test('writes whole rows; of a key that is there twice the last wins; it counts keys', async () => {
      await using model = await WriterModel.open(kind, { engine })
      await model.apply({
        is: 'append',
        table: 'readings',
        rows: [reading('a', null, { note: 'old' }), reading('b', 1)],
      })
      const { note: _, ...noteless } = reading('a', null, { valid: false })
      const [outcome] = await model.apply({
        is: 'upsert',
        table: 'readings',
        rows: [reading('c', null, { note: 'first' }), noteless, reading('c', null, { note: 'last' })],
      })
      expect(resultOf(outcome)).toEqual({ table: 'readings', inserted: '1', updated: '1', deleted: '0' })
      expect(await model.rows('readings')).toEqual([
        reading('a', null, { valid: false, note: null }),
        reading('b', 1),
        reading('c', null, { note: 'last' }),
      ])
    })

    test('of several intents counts for each what it would have found', async () => {
      await using model = await WriterModel.open(kind, { engine })
      await model.apply({ is: 'append', table: 'samples', rows: [sample('a')] })
      const outcomes = await model.apply(
        { is: 'upsert', table: 'samples', rows: [sample('a', '1'), sample('b', '1'), sample('b', '2')] },
        { is: 'upsert', table: 'samples', rows: [sample('b', '3'), sample('c', '3')] },
        { is: 'upsert', table: 'samples', rows: [sample('a', '4')] },
      )
      const counts = outcomes.map(resultOf).map(({ inserted, updated }) => [inserted, updated])
      expect(counts).toEqual([
        ['1', '1'],
        ['1', '1'],
        ['0', '1'],
      ])
      expect(await model.rows('samples')).toEqual([sample('a', '4'), sample('b', '3'), sample('c', '3')])
    })
  })

  describe('update and delete', () => {
    test('touch what the filter selects, through references too, and count it', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const origin = (value: string) => ({ is: 'compare', column: 'origin', op: 'eq', value }) as const
      const outcomes = await model.apply(
        { is: 'append', table: 'samples', rows: [sample('a', 'river'), sample('b', 'lake'), sample('c')] },
        { is: 'append', table: 'readings', rows: ['a', 'b', 'c', 'd'].map(id => reading(id, 1)) },
        {
          is: 'update',
          table: 'readings',
          where: { is: 'through', as: 'sample', of: origin('river') },
          set: { amount: '8.500000', note: 'river', takenOn: '2013-02-01' },
        },
        // neither of the lake, nor without an origin, nor without a sample
        {
          is: 'update',
          table: 'readings',
          where: { is: 'not', of: { is: 'through', as: 'sample', of: origin('lake') } },
          set: { drift: null, valid: false },
        },
        { is: 'delete', table: 'readings', where: { is: 'compare', column: 'note', op: 'eq', value: 'river' } },
        { is: 'delete', table: 'readings', where: { is: 'or', of: [] } },
      )
      expect(
        outcomes
          .slice(2)
          .map(resultOf)
          .map(({ updated, deleted }) => [updated, deleted]),
      ).toEqual([
        ['1', '0'],
        ['3', '0'],
        ['0', '1'],
        ['0', '0'],
      ])
      expect(await model.rows('readings')).toEqual([
        reading('b', 1),
        reading('c', 1, { valid: false }),
        reading('d', 1, { valid: false }),
      ])
    })
  })

  describe('a write of what the table cannot hold', () => {
    test('fails alone, whatever was written before it and comes after it', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const outcomes = await model.apply(
        { is: 'append', table: 'samples', rows: [sample('a')] },
        { is: 'append', table: 'samples', rows: [{ ...sample('b'), collectedAt: null }] },
        { is: 'append', table: 'samples', rows: [sample('c')] },
        { is: 'append', table: 'samples', rows: [sample('a')] },
        { is: 'update', table: 'samples', where: { is: 'and', of: [] }, set: { sampleId: null } },
        { is: 'upsert', table: 'samples', rows: [sample('c', 'last')] },
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false, true, false, false, true])
      expect(refusedWith(outcomes[1]).code).toBe('BAD_VALUE')
      expect(refusedWith(outcomes[3]).code).toBe('KEY_CONFLICT')
      expect(refusedWith(outcomes[4]).message).toBe('NOT NULL constraint failed: samples.sampleId')
      expect(await model.rows('samples')).toEqual([sample('a'), sample('c', 'last')])
      expect([model.writer.version, model.writer.lastSeq]).toEqual([1, 6n])
    })

    test('as the last of a batch leaves the database at the version and seq all the same', async () => {
      await using model = await WriterModel.open(kind, { engine })
      const outcomes = await model.apply(
        { is: 'append', table: 'samples', rows: [sample('a')] },
        { is: 'update', table: 'samples', where: { is: 'and', of: [] }, set: { sampleId: null } },
      )
      expect(outcomes.map(({ ok }) => ok)).toEqual([true, false])
      const { files } = await model.snapshot()
      await using again = await WriterModel.open(kind, { engine, from: files })
      expect([again.writer.version, again.writer.lastSeq]).toEqual([1, 2n])
      expect(await again.rows('samples')).toEqual([sample('a')])
    })
  })

  test('a batch without work makes a version', async () => {
    await using model = await WriterModel.open(kind, { engine })
    expect(await model.apply()).toEqual([])
    expect([model.writer.version, model.writer.lastSeq]).toEqual([1, 0n])
  })

  test('one call at a time', async () => {
    await using model = await WriterModel.open(kind, { engine })
    const first = model.apply({ is: 'append', table: 'samples', rows: [sample('a')] })
    await expect(model.apply()).rejects.toThrow('one call at a time')
    expect(await first).toHaveLength(1)
  })
})
