import {
  type Actual,
  type Cell,
  computeGoals,
  type Outline,
  refreshActuals,
  type Sale,
} from '../../../engine/goals-oracle.ts'
import { BASIS_PERIOD, GOAL_PERIOD, type GoalsInput, type Row, type Tables } from '../history.ts'
import type { Outcome } from './sales-model.ts'

/** A version of the sales model that an intent read. */
export interface SalesRead {
  model: string
  version: number
  sales: readonly Row[]
}

interface Run {
  intentId: string
  function: string
  salesVersion: string
}

/** A model of kind `goals` as it is meant; goals are computed by the oracle of the kind's own tests. */
export class GoalsModel {
  #goals: Cell[] = []
  #actuals: Actual[] = []
  #outline: Outline | null = null
  #runs: Run[] = []

  compute(intentId: string, input: GoalsInput, read: SalesRead): Outcome {
    const { grain, interval, method, total } = input
    const outline: Outline = { basisPeriod: BASIS_PERIOD, goalPeriod: GOAL_PERIOD, interval, grain }
    const sales = salesOf(read)
    const cents = total === null ? null : BigInt(total.replace('.', ''))
    const goals = computeGoals(sales, this.#goals, { ...outline, method, growth: 0n, total: cents })
    if (typeof goals === 'string') return { status: 'FAILED', code: goals }
    const actuals = refreshActuals(sales, this.#actuals, outline)
    if (typeof actuals === 'string') return { status: 'FAILED', code: actuals }
    this.#goals = goals
    this.#actuals = actuals
    this.#outline = outline
    this.#runs = [...this.#runs, { intentId, function: 'computeGoals', salesVersion: String(read.version) }]
    return { status: 'PUBLISHED' }
  }

  /** What a new version of the sales starts. One row alone tells of the refreshes since the last run. */
  refresh(intentId: string, read: SalesRead): Outcome {
    if (!this.#outline) return { status: 'PUBLISHED' }
    const actuals = refreshActuals(salesOf(read), this.#actuals, this.#outline)
    if (typeof actuals === 'string') return { status: 'FAILED', code: actuals }
    this.#actuals = actuals
    const runs = this.#runs.at(-1)?.function === 'refreshActuals' ? this.#runs.slice(0, -1) : this.#runs
    this.#runs = [...runs, { intentId, function: 'refreshActuals', salesVersion: String(read.version) }]
    return { status: 'PUBLISHED' }
  }

  get tables(): Tables {
    return {
      goals: this.#goals.map(cell => ({
        ...placeOf(cell),
        basisAmount: decimal(cell.basis, 4),
        goalAmount: decimal(cell.goal, 2),
        locked: String(cell.locked),
      })),
      actuals: this.#actuals.map(cell => ({ ...placeOf(cell), amount: decimal(cell.amount, 4) })),
      runs: this.#runs.map(run => ({ ...run })),
    }
  }
}

const placeOf = ({ period, siteId, productId, customerId, salespersonId }: Cell | Actual) => ({
  period,
  siteId,
  productId,
  customerId,
  salespersonId,
})

const salesOf = ({ sales }: SalesRead): Sale[] =>
  sales.map(({ date, siteId, productId, customerId, salespersonId, amount }) => ({
    date: `${date}`,
    siteId: siteId ?? null,
    productId: productId ?? null,
    customerId: customerId ?? null,
    salespersonId: salespersonId ?? null,
    amount: BigInt(`${amount}`.replace('.', '')),
  }))

function decimal(units: bigint, places: number): string {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`
}
