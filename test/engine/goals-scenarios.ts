import fc from 'fast-check'
import { decimal } from './goals-model.ts'
import { type Cell, type ComputeGoals, type Dimension, type Interval, LENGTH_OF, type Sale } from './goals-oracle.ts'

/** UTF-8 puts the last two the other way round than UTF-16 does. */
const NAMES = ['', 'Z', 'a', 'é', '\uFFFD', '😀'] as const

const amount = fc.oneof(
  { weight: 80, arbitrary: fc.bigInt(-1_000_000n, 20_000_000n) },
  { weight: 40, arbitrary: fc.constantFrom(0n, 50n, 10_000n, 10_050n, 333_333n) },
  { weight: 1, arbitrary: fc.bigInt(-(10n ** 18n) + 1n, 10n ** 18n - 1n) },
)
const day = fc.integer({ min: 0, max: 1095 }).map(days => isoDay(2011, 0, 1 + days))
const sale: fc.Arbitrary<Sale> = fc.record({
  date: day,
  siteId: fc.constantFrom(...NAMES),
  productId: fc.constantFrom('p', 'P'),
  customerId: fc.constantFrom('c1', 'c2', 'c10'),
  salespersonId: fc.constantFrom(null, 's1', 's2'),
  amount,
})

/** A period of whole intervals that begins in one of the months given, counted from 2011. */
export const period = (interval: Interval, [min, max]: [number, number], longest: number) =>
  fc
    .record({ start: fc.integer({ min, max }), length: fc.integer({ min: 1, max: longest / LENGTH_OF[interval] }) })
    .map(({ start, length }) => {
      const first = Math.floor(start / LENGTH_OF[interval]) * LENGTH_OF[interval]
      return { from: isoDay(2011, first, 1), to: isoDay(2011, first + length * LENGTH_OF[interval], 1) }
    })

const compute = fc.constantFrom<Interval>('MONTH', 'QUARTER', 'YEAR').chain(interval =>
  fc.record<ComputeGoals>({
    interval: fc.constant(interval),
    basisPeriod: period(interval, [0, 18], 36),
    // mostly ahead of the basis period, often apart from it, now and then before it
    goalPeriod: period(interval, [-6, 30], 24),
    grain: fc.subarray<Dimension>(['SALESPERSON', 'CUSTOMER', 'SITE', 'PRODUCT']),
    method: fc.constantFrom('SAME_PERIOD_LAST_YEAR', 'BASIS_AVERAGE', 'LINEAR_TREND', 'LINEAR_TREND'),
    growth: fc.oneof(
      { weight: 20, arbitrary: fc.bigInt(-1_000_000n, 3_000_000n) },
      { weight: 10, arbitrary: fc.constantFrom(0n, 500_000n) },
      { weight: 1, arbitrary: fc.constantFrom(-1_000_000n, 10n ** 18n - 1n) },
    ),
    total: fc.oneof(
      { weight: 10, arbitrary: fc.constant(null) },
      { weight: 10, arbitrary: fc.bigInt(0n, 100_000_000n) },
      { weight: 3, arbitrary: fc.constantFrom(0n, 1n, 10n) },
      { weight: 1, arbitrary: fc.constant(10n ** 18n - 1n) },
    ),
  }),
)

/** A filter, and whether it is true of a cell: of null, only isNull is. */
export interface Where {
  filter: object
  selects: (cell: Cell) => boolean
}
const bySite = fc.constantFrom(...NAMES).map(name => ({
  filter: { siteId: { eq: name } },
  selects: (cell: Cell) => cell.siteId === name,
}))
const byProduct = fc.constantFrom('p', 'P').map(name => ({
  filter: { productId: { neq: name } },
  selects: (cell: Cell) => cell.productId !== null && cell.productId !== name,
}))
const byPeriod = day.map(day => ({ filter: { period: { lte: day } }, selects: (cell: Cell) => cell.period <= day }))
const byAmount = fc.bigInt(-1000n, 100_000n).map(cents => ({
  filter: { goalAmount: { gt: decimal(cents, 2) } },
  selects: (cell: Cell) => cell.goal > cents,
}))
const byLock = fc.boolean().map(locked => ({
  filter: { locked: { eq: locked } },
  selects: (cell: Cell) => cell.locked === locked,
}))
const ofNobody = fc.constant({
  filter: { salespersonId: { isNull: true } },
  selects: (cell: Cell) => cell.salespersonId === null,
})
const where: fc.Arbitrary<Where> = fc.oneof(
  { weight: 2, arbitrary: bySite },
  { weight: 1, arbitrary: byProduct },
  { weight: 4, arbitrary: byPeriod },
  { weight: 4, arbitrary: byAmount },
  { weight: 1, arbitrary: byLock },
  { weight: 2, arbitrary: ofNobody },
)

/** The total to adjust to is `percent` of what is selected, and some cents more or less. */
const adjust = fc.record({
  where,
  percent: fc.constantFrom(0n, 50n, 100n, 101n, 130n),
  cents: fc.bigInt(-100n, 10_000n),
  spread: fc.constantFrom<'PROPORTIONAL' | 'EVEN'>('PROPORTIONAL', 'EVEN'),
  keepTotal: fc.boolean(),
  lock: fc.boolean(),
})

const does = <T extends string, A>(name: T, arbitrary: fc.Arbitrary<A>) => arbitrary.map(args => ({ does: name, args }))
const step = fc.oneof(
  { weight: 4, arbitrary: does('compute', compute) },
  { weight: 5, arbitrary: does('adjust', adjust) },
  { weight: 2, arbitrary: does('lock', fc.record({ where, locked: fc.boolean() })) },
  { weight: 1, arbitrary: does('sell', fc.array(sale, { maxLength: 10 })) },
  {
    weight: 2,
    arbitrary: does(
      'attain',
      fc.record({
        by: fc.subarray<Dimension>(['SITE', 'PRODUCT', 'CUSTOMER', 'SALESPERSON']),
        interval: fc.constantFrom<Interval | null>(null, 'MONTH', 'QUARTER', 'YEAR'),
      }),
    ),
  },
)

/** One thing that is done to the models, and what with. */
export type Step = typeof step extends fc.Arbitrary<infer S> ? S : never
export type StepOf<D extends Step['does']> = Extract<Step, { does: D }>['args']

/** Sales, and what is done with them; first of all goals are computed. */
export const scenario = fc.record({
  sales: fc.oneof(
    { weight: 1, arbitrary: fc.array(sale, { maxLength: 3 }) },
    { weight: 9, arbitrary: fc.array(sale, { minLength: 15, maxLength: 60 }) },
  ),
  steps: fc
    .tuple(does('compute', compute), fc.array(step, { maxLength: 8 }))
    .map(([first, others]): Step[] => [first, ...others]),
})

export function isoDay(year: number, month: number, day: number): string {
  return new Date(Date.UTC(year, month, day)).toISOString().slice(0, 10)
}
