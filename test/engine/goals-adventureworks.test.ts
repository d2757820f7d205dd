import { randomInt } from 'node:crypto'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RESELLER_SALES } from '../support/adventureworks.ts'
import { LONGER } from '../support/longer.ts'
import { engines, type TestEngine } from './engines.ts'
import { decimal, GoalsModel } from './goals-model.ts'
import { type Interval, LENGTH_OF, sum } from './goals-oracle.ts'
import { isoDay, period } from './goals-scenarios.ts'

const folder = process.env.TEATREE_TEST_DATA && `${process.env.TEATREE_TEST_DATA}/adventureworks`
const QUARTERS = { interval: 'QUARTER', grain: ['SALESPERSON'] }
const BASIS = { from: '2012-01-01', to: '2013-01-01' }
const GOAL = { from: '2013-01-01', to: '2014-01-01' }

/** Goals on the engine, of the sales of AdventureWorks on it. */
async function openModel(engine: TestEngine): Promise<GoalsModel> {
  const model = await GoalsModel.open({ goals: engine, sales: engine })
  await model.import('sales', join(folder ?? '', 'reseller-sales.parquet'), RESELLER_SALES)
  return model
}

/** How many argument sets are tried on both engines: 15, and more where somebody has the time. */
const SETS = 15 * LONGER
const SEED = Number(process.env.TEATREE_TEST_GOALS_SEED) || randomInt(1, 2 ** 31)

const DIMENSIONS = ['SITE', 'PRODUCT', 'CUSTOMER', 'SALESPERSON']
const growth = fc.option(fc.bigInt(-1_000_000n, 3_000_000n).map(millionths => decimal(millionths, 6)))
const total = fc.option(fc.bigInt(0n, 10_000_000_000n).map(cents => decimal(cents, 2)))
const locks = fc.oneof(
  fc.constant(null),
  fc.integer({ min: 0, max: 47 }).map(months => ({ period: { lte: isoDay(2011, months, 1) } })),
  fc.bigInt(0n, 5_000_000n).map(cents => ({ goalAmount: { gt: decimal(cents, 2) } })),
  fc.integer({ min: 272, max: 296 }).map(person => ({ salespersonId: { eq: String(person) } })),
)
const argumentSets = fc
  .record({ interval: fc.constantFrom<Interval>('MONTH', 'QUARTER', 'YEAR'), grain: fc.subarray(DIMENSIONS) })
  .chain(({ interval, grain }) => {
    // By several dimensions there are many thousands of cells in each interval.
    const most = LENGTH_OF[interval] * (grain.length > 2 ? 1 : grain.length > 1 ? 2 : 24 / LENGTH_OF[interval])
    return fc.record({
      input: fc.record({
        salesModel: fc.constant('shop'),
        interval: fc.constant(interval),
        grain: fc.constant(grain),
        basisPeriod: period(interval, [0, 30], 24),
        goalPeriod: period(interval, [6, 36], most),
        method: fc.constantFrom('SAME_PERIOD_LAST_YEAR', 'BASIS_AVERAGE', 'LINEAR_TREND'),
        growth,
        total,
      }),
      locks,
      again: fc.record({ growth, total }),
    })
  })

test.skipIf(!folder)(
  `the engines agree on the goals of AdventureWorks, cell by cell (seed ${SEED}; skipped where TEATREE_TEST_DATA is not set)`,
  { timeout: 300_000 * LONGER },
  async () => {
    await using duckdb = await openModel(engines[0] as TestEngine)
    await using arrow = await openModel(engines[1] as TestEngine)
    const both = async <T>(ask: (model: GoalsModel) => Promise<T>) => {
      const [one, other] = await Promise.all([ask(duckdb), ask(arrow)])
      // To look at thousands of rows for their difference takes longer than to compute them.
      if (!isDeepStrictEqual(other, one)) expect(other).toEqual(one)
      return one
    }
    // What was done is the same, whatever the steps were called.
    const call = (name: string, input: Record<string, unknown>) =>
      both(async model => ({ ...(await model.call(name, input)), steps: null }))
    const seen = { computed: 0, refused: 0, cells: 0 }
    const left = (given: Record<string, unknown>) =>
      Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
    for (const [number, set] of fc.sample(argumentSets, { numRuns: SETS, seed: SEED }).entries()) {
      try {
        const outcomes = [await call('computeGoals', left(set.input))]
        if (set.locks) {
          outcomes.push(await call('lockGoals', { where: set.locks, locked: true }))
          outcomes.push(await call('computeGoals', left({ ...set.input, ...set.again })))
        }
        const goals = await both(model => model.rows('goals'))
        await both(model => model.rows('actuals'))
        const by = set.input.grain.slice(0, 1)
        await both(async model => (await model.attainment({ by, interval: set.input.interval }).catch(codeOf)) ?? null)
        await call('lockGoals', { where: { locked: { eq: true } }, locked: false })
        const computed = outcomes.filter(outcome => 'result' in outcome).length
        seen.computed += computed
        seen.refused += outcomes.length - computed
        seen.cells += goals.length
      } catch (cause) {
        throw new Error(`argument set ${number}: ${JSON.stringify(set)}`, { cause })
      }
    }
    process.stdout.write(
      `goals of AdventureWorks: ${SETS} argument sets, ${seen.cells} cells, ${seen.refused} refused, seed ${SEED}\n`,
    )
    expect(seen.computed).toBeGreaterThan(SETS / 3)
  },
)

const codeOf = (error: { code?: unknown }) => ({ code: error.code })

describe.each(engines)('on $name', engine => {
  test.skipIf(!folder)(
    'goals for the salespersons of AdventureWorks add up to the cent (skipped where TEATREE_TEST_DATA is not set)',
    async () => {
      await using model = await openModel(engine)
      const input = { salesModel: 'shop', basisPeriod: BASIS, goalPeriod: GOAL, ...QUARTERS, total: '40000000' }

      for (const method of ['SAME_PERIOD_LAST_YEAR', 'BASIS_AVERAGE', 'LINEAR_TREND']) {
        const outcome = await model.call('computeGoals', { ...input, method })
        // 16 salespersons sold something in 2012
        expect(outcome).toMatchObject({ result: { cells: '64', total: '40000000.00', salesVersion: 1 } })
        const goals = await model.rows('goals')
        const cents = goals.map(({ goalAmount }) => BigInt(String(goalAmount).replace('.', '')))
        expect(decimal(sum(cents), 2)).toBe('40000000.00')
        expect(goals.length).toBe(64)
      }
      const { rows } = await model.attainment({ interval: 'YEAR' })
      expect(rows).toMatchObject([
        { period: '2013-01-01', goalAmount: '40000000.00', actualAmount: '33574834.1572', ratio: 0.83937085393 },
      ])

      await model.call('computeGoals', { ...input, total: null })
      const basis = (await model.rows('goals')).map(({ basisAmount }) => BigInt(String(basisAmount).replace('.', '')))
      expect(decimal(sum(basis), 4)).toBe('28193631.5321')
    },
  )
})
