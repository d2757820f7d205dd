import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { engines } from './engines.ts'
import { decimal, GoalsModel } from './goals-model.ts'
import { sum } from './goals-oracle.ts'

const folder = process.env.TEATREE_TEST_DATA && `${process.env.TEATREE_TEST_DATA}/adventureworks`
const QUARTERS = { interval: 'QUARTER', grain: ['SALESPERSON'] }
const BASIS = { from: '2012-01-01', to: '2013-01-01' }
const GOAL = { from: '2013-01-01', to: '2014-01-01' }

describe.each(engines)('on $name', engine => {
  test.skipIf(!folder)(
    'goals for the salespersons of AdventureWorks add up to the cent (skipped where TEATREE_TEST_DATA is not set)',
    async () => {
      await using model = await GoalsModel.open({ goals: engine, sales: engine })
      await model.import('sales', join(folder ?? '', 'reseller-sales.parquet'), {
        orderId: 'SalesOrderNumber',
        line: 'SalesOrderLineNumber',
        date: 'OrderDate',
        siteId: 'SalesTerritoryKey',
        productId: 'ProductKey',
        customerId: 'ResellerKey',
        salespersonId: 'EmployeeKey',
        quantity: 'OrderQuantity',
        amount: 'SalesAmount',
      })
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
