import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Value } from '../../src/kinds/types.ts'
import { engines } from './engines.ts'
import { GoalsModel } from './goals-model.ts'
import type { Sale } from './goals-oracle.ts'

const INPUT = {
  salesModel: 'shop',
  basisPeriod: { from: '2012-01-01', to: '2013-01-01' },
  goalPeriod: { from: '2013-01-01', to: '2014-01-01' },
  interval: 'QUARTER',
  grain: ['SITE', 'PRODUCT'],
}

const sale = (date: string, siteId: string, productId: string, amount: number): Sale => ({
  date,
  siteId,
  productId,
  customerId: 'c',
  salespersonId: null,
  amount: BigInt(amount) * 10_000n,
})
const SALES_2012 = [
  sale('2012-02-05', 'a', 'p', 100),
  sale('2012-05-05', 'a', 'q', 50),
  sale('2012-12-31', 'b', 'p', 80),
]

describe.each(engines)('on $name', engine => {
  test('before the first run a refresh changes nothing', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([sale('2013-02-05', 'a', 'p', 1)])
    const nothing = { result: { cells: '0', total: '0.0000', salesVersion: 0 } }
    expect(await model.call('refreshActuals')).toMatchObject(nothing)
    model.reads = []
    expect(await model.call('refreshActuals')).toMatchObject(nothing)
    expect(await model.rows('actuals')).toEqual([])
    expect(await model.rows('runs')).toEqual([])
  })

  test('a refresh sums the sales of the last run, and leaves one row to say where the actuals are from', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell(SALES_2012)
    await model.call('computeGoals', INPUT)
    for (const amount of [1, 2, 3]) {
      const version = await model.sell([sale('2013-03-31', 'a', 'p', amount), sale('2013-04-01', 'c', 'p', 10)])
      expect(await model.call('refreshActuals')).toMatchObject({ result: { cells: '2', salesVersion: version } })
    }
    expect(await model.rows('actuals')).toMatchObject([
      { period: '2013-01-01', siteId: 'a', productId: 'p', customerId: null, salespersonId: null, amount: '6.0000' },
      { period: '2013-04-01', siteId: 'c', productId: 'p', amount: '30.0000' },
    ])
    const runs = await model.rows('runs')
    expect(runs.map(row => [row.function, row.salesModel, row.salesVersion, row.cells, row.total])).toEqual([
      ['computeGoals', 'shop', 1, '12', '230.00'],
      ['refreshActuals', 'shop', 4, '2', null],
    ])
    expect(JSON.parse(String(runs[0]?.arguments))).toMatchObject({ ...INPUT, method: 'SAME_PERIOD_LAST_YEAR' })
  })

  test('a refresh reads the model of the last run among several, and nothing where that is no longer read', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell(SALES_2012)
    await model.sell([sale('2013-01-05', 'x', 'p', 999)], 'other')
    await model.call('computeGoals', INPUT)
    await model.sell([sale('2013-01-05', 'a', 'p', 5)])
    model.reads = ['other', 'shop']
    expect(await model.call('refreshActuals')).toMatchObject({
      result: { cells: '1', total: '5.0000', salesVersion: 2 },
    })
    model.reads = ['other']
    expect(await model.call('refreshActuals')).toMatchObject({
      result: { cells: '0', total: '0.0000', salesVersion: 2 },
    })
    expect(await model.rows('actuals')).toMatchObject([{ siteId: 'a', amount: '5.0000' }])
  })

  test('the order of the runs is that of their instants, also where the clock stands still or goes back', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell(SALES_2012)
    await model.call('computeGoals', INPUT)
    await model.call('computeGoals', { ...INPUT, grain: ['SITE'] })
    model.now = '2013-01-31T08:00:00.000000Z'
    await model.call('computeGoals', { ...INPUT, grain: ['PRODUCT'] })
    const runs = await model.rows('runs')
    expect(runs.map(({ at }) => at)).toEqual([
      '2013-01-31T09:00:00.000000Z',
      '2013-01-31T09:00:00.000001Z',
      '2013-01-31T09:00:00.000002Z',
    ])
    expect((await model.attainment({ by: ['PRODUCT'] })).rows).toHaveLength(2)
  })

  test('attainment sets goal beside actual, and keeps those that have only one of both', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell(SALES_2012)
    await model.sell([sale('2013-02-05', 'a', 'p', 25), sale('2013-04-01', 'c', 'p', 10)])
    await model.call('computeGoals', INPUT)

    const one = await model.attainment({})
    expect(one).toMatchObject({ total: 1n, page: { salesVersion: 2 } })
    expect(one.rows).toMatchObject([
      { period: null, siteId: null, goalAmount: '230.00', actualAmount: '35.0000', ratio: 35 / 230 },
    ])
    const rows = async (input: Record<string, unknown>) =>
      (await model.attainment(input)).rows.map(row => [
        row.period,
        row.siteId,
        row.goalAmount,
        row.actualAmount,
        row.ratio,
      ])
    expect(await rows({ by: ['SITE'] })).toEqual([
      [null, 'a', '150.00', '25.0000', 25 / 150],
      [null, 'b', '80.00', '0.0000', 0],
      [null, 'c', '0.00', '10.0000', null],
    ])
    expect(await rows({ interval: 'YEAR' })).toEqual([['2013-01-01', null, '230.00', '35.0000', 35 / 230]])
    expect(await rows({ from: '2013-04-01', to: '2013-07-01' })).toEqual([[null, null, '50.00', '10.0000', 10 / 50]])
    expect(await rows({ from: '2020-01-01', to: '2021-01-01' })).toEqual([[null, null, '0.00', '0.0000', null]])
    expect(await rows({ from: '2020-01-01', to: '2021-01-01', interval: 'QUARTER' })).toEqual([])
  })

  test('attainment is paged without a row lost or seen twice', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell(SALES_2012)
    await model.sell([sale('2013-02-05', 'a', 'p', 25), sale('2013-04-01', 'c', 'p', 10)])
    await model.call('computeGoals', INPUT)
    const input = { by: ['SITE', 'PRODUCT'], interval: 'QUARTER' }
    const whole = await model.attainment(input)
    expect(whole.rows).toHaveLength(13)
    const seen: unknown[] = []
    let after: readonly Value[] | undefined
    do {
      const page = await model.attainment(input, { limit: 2, ...(after ? { after } : {}) })
      seen.push(...page.rows)
      after = page.positions.at(-1)
    } while (after)
    expect(seen).toEqual(whole.rows)
  })

  describe('a wrong question', () => {
    let model: GoalsModel
    beforeAll(async () => {
      model = await GoalsModel.open({ goals: engine, sales: engine })
      await model.sell(SALES_2012)
      await model.call('computeGoals', INPUT)
    })
    afterAll(() => model[Symbol.asyncDispose]())

    test.each([
      ['from', { from: '2013-01-15' }],
      ['from', { from: '2013-02-01' }],
      ['to', { to: '2013-05-01' }],
      ['to', { to: '2013-10-01', interval: 'YEAR' }],
      ['from', { from: '2013-07-01', to: '2013-04-01' }],
      ['from', { from: '2014-01-01' }],
      ['by', { by: ['CUSTOMER'] }],
      ['by', { by: ['SITE', 'SITE'] }],
      ['interval', { interval: 'MONTH' }],
    ])('attainment refuses a wrong %s: %j', async (path, wrong) => {
      const message = expect.stringContaining(`${path}: `)
      await expect(model.attainment(wrong)).rejects.toMatchObject({ code: 'BAD_VALUE', message })
    })
  })

  test('goals of several runs go by the rules of each, and say no version where their actuals are from several', async () => {
    await using model = await GoalsModel.open({ goals: engine, sales: engine })
    await model.sell([...SALES_2012, sale('2013-02-05', 'a', 'p', 25)])
    await model.call('computeGoals', INPUT)
    await model.sell([sale('2013-12-31', 'a', 'p', 40)])
    await model.call('refreshActuals')
    await model.sell([sale('2013-12-31', 'a', 'p', 2), sale('2014-01-01', 'a', 'p', 3)])
    const later = { from: '2014-01-01', to: '2015-01-01' }
    const basisPeriod = INPUT.goalPeriod
    await model.call('computeGoals', { ...INPUT, basisPeriod, goalPeriod: later, interval: 'YEAR', grain: ['SITE'] })
    await model.sell([sale('2014-01-01', 'a', 'p', 4)])
    await model.call('refreshActuals')

    const both = await model.attainment({ from: '2013-01-01', to: '2015-01-01', by: ['SITE'], interval: 'YEAR' })
    expect(both.page).toEqual({ salesVersion: null })
    expect(both.rows.map(row => [row.period, row.siteId, row.goalAmount, row.actualAmount])).toEqual([
      ['2013-01-01', 'a', '150.00', '65.0000'],
      ['2013-01-01', 'b', '80.00', '0.0000'],
      ['2014-01-01', 'a', '67.00', '7.0000'],
    ])
    const first = await model.attainment({ ...INPUT.goalPeriod, by: ['PRODUCT'], interval: 'QUARTER' })
    expect(first.page).toEqual({ salesVersion: 2 })
    expect((await model.attainment({})).page).toEqual({ salesVersion: 4 })
    const wrong = { from: '2013-01-01', to: '2015-01-01', by: ['PRODUCT'] }
    await expect(model.attainment(wrong)).rejects.toMatchObject({ code: 'BAD_VALUE' })
  })
})
