import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { Row, Value } from '../../src/kinds/types.ts'
import { LONGER } from '../support/longer.ts'
import { decimal, GoalsModel, pairs } from './goals-model.ts'
import {
  type Actual,
  adjustGoals,
  attainment,
  type Cell,
  type ComputeGoals,
  computeGoals,
  DIMENSIONS,
  LENGTH_OF,
  refreshActuals,
  type Sale,
  sum,
  within,
} from './goals-oracle.ts'
import { type Step, type StepOf, scenario } from './goals-scenarios.ts'

/** What the rules say should have come of a step: a result, or the code that it is refused with. */
type Expected = { result: Row } | { code: string }

/** A model of goals, and beside it what the rules make of the same steps. */
class Both {
  readonly model: GoalsModel
  sales: Sale[] = []
  version = 0
  goals: Cell[] = []
  actuals: Actual[] = []
  plan: ComputeGoals | undefined

  constructor(model: GoalsModel) {
    this.model = model
  }

  async sell(sales: Sale[]): Promise<void> {
    this.sales = [...this.sales, ...sales]
    this.version = await this.model.sell(sales)
  }

  async does(step: Step): Promise<void> {
    switch (step.does) {
      case 'compute':
        return this.#call('computeGoals', inputOf(step.args), this.#compute(step.args))
      case 'adjust': {
        const { where, percent, cents, ...how } = step.args
        const total = (sum(this.goals.filter(where.selects).map(({ goal }) => goal)) * percent) / 100n + cents
        const input = { ...how, where: where.filter, total: decimal(total, 2) }
        return this.#call('adjustGoals', input, this.#adjust(step.args, total))
      }
      case 'lock':
        return this.#call(
          'lockGoals',
          { where: step.args.where.filter, locked: step.args.locked },
          this.#lock(step.args),
        )
      case 'sell':
        await this.sell(step.args)
        return this.#call('refreshActuals', {}, this.#refresh())
      case 'attain':
        return this.#attain(step.args)
    }
  }

  async #call(name: string, input: Record<string, unknown>, expected: Expected): Promise<void> {
    expect(await this.model.call(name, input)).toMatchObject(expected)
    if ('code' in expected) return
    expect(lines(await this.model.rows('goals'))).toEqual(sorted(this.goals.map(goalLine)))
    expect(lines(await this.model.rows('actuals'))).toEqual(sorted(this.actuals.map(actualLine)))
  }

  #compute(args: ComputeGoals): Expected {
    const goals = computeGoals(this.sales, this.goals, args)
    if (typeof goals === 'string') return { code: goals }
    const actuals = refreshActuals(this.sales, this.actuals, args)
    if (typeof actuals === 'string') return { code: actuals }
    Object.assign(this, { goals, actuals, plan: args })
    const cells = goals.filter(({ period }) => within(period, args.goalPeriod))
    const total = sum(cells.map(({ goal }) => goal))
    if (args.total !== null) expect(total).toBe(args.total)
    return { result: { cells: String(cells.length), total: decimal(total, 2), salesVersion: this.version } }
  }

  #adjust({ where, ...how }: StepOf<'adjust'>, total: bigint): Expected {
    if (total < 0n || total >= 10n ** 18n) return { code: 'BAD_VALUE' }
    const selected = this.goals.filter(where.selects)
    const all = sum(this.goals.map(({ goal }) => goal))
    const goals = adjustGoals(this.goals, where.selects, { ...how, total })
    if (typeof goals === 'string') return { code: goals }
    if (how.keepTotal) expect(sum(goals.map(({ goal }) => goal))).toBe(all)
    this.goals = goals
    return { result: { cells: String(selected.length), total: decimal(total, 2) } }
  }

  #lock({ where, locked }: StepOf<'lock'>): Expected {
    const cells = this.goals.filter(where.selects).length
    this.goals = this.goals.map(goal => (where.selects(goal) ? { ...goal, locked } : goal))
    return { result: { cells: String(cells) } }
  }

  #refresh(): Expected {
    const { plan } = this
    if (!plan) return { result: { cells: '0', total: '0.0000', salesVersion: 0 } }
    const actuals = refreshActuals(this.sales, this.actuals, plan)
    if (typeof actuals === 'string') return { code: actuals }
    this.actuals = actuals
    const fresh = actuals.filter(({ period }) => within(period, plan.goalPeriod))
    const total = decimal(sum(fresh.map(({ amount }) => amount)), 4)
    return { result: { cells: String(fresh.length), total, salesVersion: this.version } }
  }

  async #attain({ by, interval }: StepOf<'attain'>): Promise<void> {
    const { plan } = this
    const finer = plan && interval && LENGTH_OF[interval] < LENGTH_OF[plan.interval]
    if (plan && (finer || by.some(dimension => !plan.grain.includes(dimension)))) {
      return expect(this.model.attainment({ by, interval })).rejects.toMatchObject({ code: 'BAD_VALUE' })
    }
    const period = plan?.goalPeriod ?? { from: '', to: '' }
    const expected = attainment(this.goals, this.actuals, { ...period, by, interval })
    const { rows, total } = await this.model.attainment({ by, interval })
    expect(total).toBe(BigInt(expected.length))
    expect(lines(rows)).toEqual(
      sorted(
        expected.map(({ goal, actual, ...group }) => {
          const amounts = [decimal(goal, 2), decimal(actual, 4)] as const
          const ratio = goal === 0n ? null : Number(amounts[1]) / Number(amounts[0])
          return [group.period, ...DIMENSIONS.map(name => group[name]), ...amounts, ratio]
        }),
      ),
    )
  }
}

const inputOf = ({ growth, total, ...args }: ComputeGoals) => ({
  ...args,
  salesModel: 'shop',
  growth: decimal(growth, 6),
  total: total === null ? null : decimal(total, 2),
})

const sorted = (lines: Value[][]) => lines.map(line => JSON.stringify(line)).sort()
const lines = (rows: readonly Row[]) => sorted(rows.map(row => Object.values(row)))
const placeOf = (cell: Cell | Actual) => [cell.period, ...DIMENSIONS.map(name => cell[name])]
const goalLine = (cell: Cell) => [...placeOf(cell), decimal(cell.basis, 4), decimal(cell.goal, 2), cell.locked]
const actualLine = (actual: Actual) => [...placeOf(actual), decimal(actual.amount, 4)]

test(
  'goals, adjustments, locks, actuals and attainment are those of the rules, cell by cell, on whichever engines',
  async () => {
    await fc.assert(
      // With so little memory, sales are summed in parts of their period.
      fc.asyncProperty(
        scenario,
        fc.constantFrom(...pairs),
        fc.constantFrom(undefined, 500),
        async (given, engines, bytes) => {
          const { sales, steps } = given
          await using model = await GoalsModel.open(engines, bytes)
          const both = new Both(model)
          await both.sell(sales)
          for (const step of steps) await both.does(step)
        },
      ),
      // To shrink what is found takes longer than the test has: the seed and the case are told at once.
      { numRuns: 16 * LONGER, endOnFailure: true },
    )
  },
  240_000 * LONGER,
)
