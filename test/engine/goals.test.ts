import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { engines } from './engines.ts'
import { GoalsModel } from './goals-model.ts'
import type { Sale } from './goals-oracle.ts'

const YEAR_2012 = { from: '2012-01-01', to: '2013-01-01' }
const YEAR_2013 = { from: '2013-01-01', to: '2014-01-01' }
const INPUT = { salesModel: 'shop', basisPeriod: YEAR_2012, goalPeriod: YEAR_2013, interval: 'YEAR', grain: ['SITE'] }

/** A sale of so many whole units of money. */
const sale = (date: string, siteId: string, amount: number, salespersonId: string | null = null): Sale => ({
  date,
  siteId,
  productId: 'p',
  customerId: 'c',
  salespersonId,
  amount: BigInt(amount) * 10_000n,
})

const amounts = async (model: GoalsModel) =>
  Object.fromEntries((await model.rows('goals')).map(row => [`${row.period} ${row.siteId ?? '-'}`, row.goalAmount]))

describe.each(engines)('on $name', engine => {
  describe('what the request alone shows to be wrong', () => {
    let model: GoalsModel
    beforeAll(async () => {
      model = await GoalsModel.open({ goals: engine, sales: engine })
    })
    afterAll(() => model[Symbol.asyncDispose]())

    test.each([
      ['basisPeriod.from', { basisPeriod: { from: '2012-01-02', to: '2013-01-01' } }],
      ['basisPeriod.to', { basisPeriod: { from: '2012-01-01', to: '2013-04-01' } }],
      ['goalPeriod.from', { interval: 'QUARTER', goalPeriod: { from: '2013-02-01', to: '2014-01-01' } }],
      ['goalPeriod', { goalPeriod: { from: '2013-01-01', to: '2013-01-01' } }],
      ['basisPeriod', { basisPeriod: { from: '2013-01-01', to: '2012-01-01' } }],
      ['goalPeriod', { interval: 'MONTH', goalPeriod: { from: '1900-01-01', to: '2000-02-01' } }],
      ['grain', { grain: ['SITE', 'PRODUCT', 'SITE'] }],
      ['growth', { growth: '-1.000001' }],
      ['growth', { growth: '0.0000001' }],
      ['total', { total: '-0.01' }],
      ['total', { total: '0.001' }],
    ])('computeGoals refuses a wrong %s: %j', async (path, wrong) => {
      const outcome = await model.call('computeGoals', { ...INPUT, ...wrong })
      expect(outcome).toMatchObject({ code: 'BAD_VALUE', message: expect.stringContaining(`${path}: `) })
    })
  })

  test('a line through the basis intervals is drawn on across a gap, and never falls below 0', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([10, 20, 30].map((amount, month) => sale(`2012-0${month + 1}-15`, 'up', amount)))
    await model.sell([30, 10, 5].map((amount, month) => sale(`2012-0${month + 1}-15`, 'down', amount)))
    const basisPeriod = { from: '2012-01-01', to: '2012-04-01' }
    const goalPeriod = { from: '2012-12-01', to: '2013-02-01' }
    await model.call('computeGoals', { ...INPUT, basisPeriod, goalPeriod, interval: 'MONTH', method: 'LINEAR_TREND' })
    expect(await amounts(model)).toEqual({
      '2012-12-01 up': '120.00',
      '2013-01-01 up': '130.00',
      '2012-12-01 down': '0.00',
      '2013-01-01 down': '0.00',
    })
  })

  test('cents that remain go to the largest remainders, ties by period and then by bytes of UTF-8, nulls first', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    // in UTF-16 the last would come before the one before it
    for (const person of ['z', null, '\uFFFD', '😀', 'a']) await model.sell([sale('2012-05-05', 's', 1, person)])
    await model.call('computeGoals', { ...INPUT, grain: ['SALESPERSON'], total: '1.03' })
    const goals = await model.rows('goals')
    expect(goals.map(({ salespersonId, goalAmount }) => [salespersonId, goalAmount])).toEqual([
      ['a', '0.21'],
      ['z', '0.21'],
      ['\uFFFD', '0.20'],
      ['😀', '0.20'],
      [null, '0.21'],
    ])
  })

  test('locked goals stay as they are, are counted, and count towards the total', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([sale('2012-05-05', 'a', 100), sale('2012-06-05', 'b', 200), sale('2012-07-05', 'c', 300)])
    await model.call('computeGoals', INPUT)
    expect(await model.call('lockGoals', { where: { siteId: { eq: 'a' } }, locked: true })).toMatchObject({
      result: { cells: '1' },
    })
    expect(await model.call('computeGoals', { ...INPUT, total: '1100' })).toMatchObject({
      result: { cells: '3', total: '1100.00' },
    })
    expect(await amounts(model)).toEqual({
      '2013-01-01 a': '100.00',
      '2013-01-01 b': '400.00',
      '2013-01-01 c': '600.00',
    })
    // a combination that has no sales any more keeps its locked goal all the same
    await model.sell([sale('2011-05-05', 'b', 50)])
    const earlier = { from: '2011-01-01', to: '2012-01-01' }
    await model.call('computeGoals', { ...INPUT, basisPeriod: earlier, method: 'BASIS_AVERAGE' })
    expect(await amounts(model)).toEqual({ '2013-01-01 a': '100.00', '2013-01-01 b': '50.00' })

    const refused = async (changes: object) => model.call('computeGoals', { ...INPUT, ...changes })
    expect(await refused({ total: '99.99' })).toMatchObject({ code: 'GOALS_LOCKED' })
    expect(await refused({ grain: ['PRODUCT'] })).toMatchObject({ code: 'GOALS_LOCKED' })
    expect(await refused({ interval: 'QUARTER' })).toMatchObject({ code: 'GOALS_LOCKED' })
    await model.call('lockGoals', { where: { period: { gte: '2013-01-01' } }, locked: true })
    await model.sell([])
    expect(await refused({ basisPeriod: earlier, total: '151' })).toMatchObject({ code: 'GOALS_LOCKED' })
    expect(await amounts(model)).toEqual({ '2013-01-01 a': '100.00', '2013-01-01 b': '50.00' })
  })

  test('without sales, or with weights of 0 alone and a total, there is no basis', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    expect(await model.call('computeGoals', INPUT)).toMatchObject({ code: 'NO_BASIS' })
    await model.sell([sale('2012-05-05', 'a', 100)])
    const ahead = { ...INPUT, goalPeriod: { from: '2014-01-01', to: '2015-01-01' } }
    expect(await model.call('computeGoals', { ...ahead, total: '1' })).toMatchObject({ code: 'NO_BASIS' })
    expect(await model.call('computeGoals', { ...INPUT, growth: -1, total: '1' })).toMatchObject({ code: 'NO_BASIS' })
    expect(await model.call('computeGoals', { ...ahead, total: '0' })).toMatchObject({
      result: { cells: '1', total: '0.00' },
    })
    expect(await model.rows('goals')).toMatchObject([
      { period: '2014-01-01', basisAmount: '0.0000', goalAmount: '0.00' },
    ])
  })

  test('a coarser goal that reaches into the goal period gives way as a whole; what lies apart stays', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([sale('2012-02-05', 'a', 100), sale('2012-11-05', 'a', 200)])
    await model.call('computeGoals', INPUT)
    const months = (from: string, to: string) => ({ ...INPUT, interval: 'MONTH', goalPeriod: { from, to } })
    await model.call('computeGoals', months('2013-01-01', '2013-03-01'))
    expect(await amounts(model)).toEqual({ '2013-01-01 a': '0.00', '2013-02-01 a': '100.00' })
    await model.call('computeGoals', months('2013-11-01', '2013-12-01'))
    expect(await amounts(model)).toEqual({
      '2013-01-01 a': '0.00',
      '2013-02-01 a': '100.00',
      '2013-11-01 a': '200.00',
    })
    await model.call('computeGoals', INPUT)
    await model.call('computeGoals', months('2013-11-01', '2013-12-01'))
    expect(await amounts(model)).toEqual({ '2013-11-01 a': '200.00' })
    await model.call('computeGoals', INPUT)
    await model.call('lockGoals', { where: { siteId: { eq: 'a' } }, locked: true })
    expect(await model.call('computeGoals', months('2013-11-01', '2013-12-01'))).toMatchObject({ code: 'GOALS_LOCKED' })
  })

  test('an adjustment can keep the sum of all goals, and leaves goals below 0 out of it', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([
      sale('2012-05-05', 'a', 100),
      sale('2012-05-05', 'b', 100),
      sale('2012-05-05', 'c', 50),
      sale('2012-05-05', 'd', -7),
    ])
    await model.call('computeGoals', INPUT)
    const where = { siteId: { eq: 'a' } }
    expect(await model.call('adjustGoals', { where, total: '110', keepTotal: true, lock: true })).toMatchObject({
      result: { cells: '1', total: '110.00' },
    })
    expect(await amounts(model)).toEqual({
      '2013-01-01 a': '110.00',
      '2013-01-01 b': '93.33',
      '2013-01-01 c': '46.67',
      '2013-01-01 d': '-7.00',
    })
    expect(await model.call('adjustGoals', { where, total: '0' })).toMatchObject({ code: 'GOALS_LOCKED' })
    await model.call('lockGoals', { where, locked: false })
    expect(await model.call('adjustGoals', { where, total: '250.01', keepTotal: true })).toMatchObject({
      code: 'GOALS_LOCKED',
    })
    expect(await model.call('adjustGoals', { where: { siteId: { eq: 'x' } }, total: '1' })).toMatchObject({
      code: 'NO_BASIS',
    })
    expect(await model.call('adjustGoals', { where: {}, total: '1' })).toMatchObject({ code: 'BAD_VALUE' })
    expect(await model.call('adjustGoals', { where, total: '-1' })).toMatchObject({ code: 'BAD_VALUE' })
    const low = { siteId: { eq: 'd' } }
    expect(await model.call('adjustGoals', { where: low, total: '1' })).toMatchObject({ code: 'NO_BASIS' })
    await model.call('adjustGoals', { where: low, total: '1', spread: 'EVEN' })
    expect(await amounts(model)).toMatchObject({ '2013-01-01 d': '1.00' })
  })

  test('each step of the algorithm is told of', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([sale('2012-05-05', 'a', 100)])
    // In SQL the combinations are numbered as the basis is summed; over frames a sum is streamed that is alone in its step.
    const basis = engine.name === 'ARROW' ? ['basis', 'combinations'] : ['basis']
    expect(await model.call('computeGoals', INPUT)).toMatchObject({
      steps: [...basis, 'forecast', 'growth', 'actuals', 'write'],
    })
    expect(await model.call('computeGoals', { ...INPUT, total: '1' })).toMatchObject({
      steps: [...basis, 'forecast', 'spread', 'actuals', 'write'],
    })
  })

  test('amounts as large as a column holds come out exactly, over a century of months and thousands of years away', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    const largest = 10n ** 18n - 1n
    const month = (index: number) => `${1912 + Math.floor(index / 12)}-${String((index % 12) + 1).padStart(2, '0')}-01`
    const century = Array.from({ length: 1200 }, (_, index) => ({ ...sale(month(index), 's', 0), amount: largest }))
    await model.sell(century)
    const basisPeriod = { from: month(0), to: month(1200) }
    for (const year of ['0001', '9990']) {
      const input = {
        ...INPUT,
        basisPeriod,
        goalPeriod: { from: `${year}-01-01`, to: `${year}-02-01` },
        interval: 'MONTH',
      }
      await model.call('computeGoals', { ...input, method: 'LINEAR_TREND' })
      await model.call('computeGoals', { ...input, method: 'BASIS_AVERAGE', total: '9999999999999999.99' })
    }
    expect(await model.rows('goals')).toMatchObject([
      { period: '0001-01-01', basisAmount: '99999999999999.9999', goalAmount: '9999999999999999.99' },
      { period: '9990-01-01', basisAmount: '99999999999999.9999', goalAmount: '9999999999999999.99' },
    ])
    const outcome = await model.call('computeGoals', { ...INPUT, basisPeriod, goalPeriod: YEAR_2012 })
    expect(outcome).toMatchObject({ code: 'BAD_VALUE' })
  })
})
