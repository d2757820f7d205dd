/*
 * The rules for goals once more, a row at a time and in whole numbers of JavaScript, for a comparison cell by cell. What
 * is refused is a string here: the code.
 */

export const DIMENSIONS = ['siteId', 'productId', 'customerId', 'salespersonId'] as const
export type Dimensions = Record<(typeof DIMENSIONS)[number], string | null>
export const COLUMN_OF = { SITE: 'siteId', PRODUCT: 'productId', CUSTOMER: 'customerId', SALESPERSON: 'salespersonId' }
export type Dimension = keyof typeof COLUMN_OF
export const LENGTH_OF = { MONTH: 1, QUARTER: 3, YEAR: 12 }
export type Interval = keyof typeof LENGTH_OF
export interface Period {
  from: string
  to: string
}

/** `amount` in ten-thousandths. */
export interface Sale extends Dimensions {
  date: string
  amount: bigint
}
/** The time that a cell is for: a `period` of one interval, at a grain. */
interface Place extends Dimensions {
  period: string
  interval: Interval
  /** Sorted, as one text. */
  grain: string
}
/** `basis` in ten-thousandths, `goal` in cents. */
export interface Cell extends Place {
  basis: bigint
  goal: bigint
  locked: boolean
}
export interface Actual extends Place {
  amount: bigint
}
export interface Outline {
  basisPeriod: Period
  goalPeriod: Period
  interval: Interval
  grain: Dimension[]
}
export interface ComputeGoals extends Outline {
  method: 'SAME_PERIOD_LAST_YEAR' | 'BASIS_AVERAGE' | 'LINEAR_TREND'
  /** In millionths. */
  growth: bigint
  /** In cents. */
  total: bigint | null
}

const LIMIT = 10n ** 18n
const abs = (value: bigint) => (value < 0n ? -value : value)
const tooLarge = (values: bigint[]) => values.some(value => abs(value) >= LIMIT)
export const sum = (values: bigint[]) => values.reduce((total, value) => total + value, 0n)
export const within = (day: string, { from, to }: Period) => from <= day && day < to
export const keyOf = (cell: Dimensions & { period?: string | null }) =>
  JSON.stringify([cell.period, ...DIMENSIONS.map(dimension => cell[dimension])])

const monthOf = (day: string) => Number(day.slice(0, 4)) * 12 + Number(day.slice(5, 7)) - 1
const dayOf = (month: number) =>
  `${String(Math.floor(month / 12)).padStart(4, '0')}-${String((month % 12) + 1).padStart(2, '0')}-01`
export const firstDay = (day: string, interval: Interval) => dayOf(monthOf(day) - (monthOf(day) % LENGTH_OF[interval]))
function daysOf({ from, to }: Period, interval: Interval): string[] {
  const days: string[] = []
  for (let month = monthOf(from); month < monthOf(to); month += LENGTH_OF[interval]) days.push(dayOf(month))
  return days
}

/** Whether some of the cell's days lie in the period. */
export const overlaps = ({ period, interval }: Place, { from, to }: Period) =>
  period < to && dayOf(monthOf(period) + LENGTH_OF[interval]) > from

export const atGrain = (row: Dimensions, grain: Dimension[]): Dimensions => {
  const columns = grain.map(dimension => COLUMN_OF[dimension])
  const [siteId, productId, customerId, salespersonId] = DIMENSIONS.map(name =>
    columns.includes(name) ? row[name] : null,
  )
  return {
    siteId: siteId ?? null,
    productId: productId ?? null,
    customerId: customerId ?? null,
    salespersonId: salespersonId ?? null,
  }
}

/** numerator / denominator, half away from zero. */
function round(numerator: bigint, denominator: bigint): bigint {
  if (denominator < 0n) return round(-numerator, -denominator)
  const size = (abs(numerator) * 2n + denominator) / (denominator * 2n)
  return numerator < 0n ? -size : size
}

export function inOrder(a: Dimensions & { period: string }, b: Dimensions & { period: string }): number {
  if (a.period !== b.period) return a.period < b.period ? -1 : 1
  for (const dimension of DIMENSIONS) {
    const [left, right] = [a[dimension], b[dimension]]
    if (left === right) continue
    if (left === null) return -1
    if (right === null) return 1
    return Buffer.compare(Buffer.from(left), Buffer.from(right))
  }
  return 0
}

/** The share of each, in the order given, which settles ties. */
export function shares(weights: bigint[], total: bigint): bigint[] {
  const all = sum(weights)
  if (all === 0n) return weights.map(() => 0n)
  const found = weights.map(weight => (weight * total) / all)
  let left = total - sum(found)
  const byRemainder = weights
    .map((weight, index) => ({ index, remainder: (weight * total) % all }))
    .sort((a, b) => (a.remainder === b.remainder ? a.index - b.index : a.remainder > b.remainder ? -1 : 1))
  for (const { index } of byRemainder) {
    if (left === 0n) break
    found[index] = (found[index] ?? 0n) + 1n
    left -= 1n
  }
  return found
}

/** The forecast of one interval, before rounding. `amounts`: of the basis intervals; `number`: that of the interval. */
function forecast(method: ComputeGoals['method'], amounts: bigint[], number: number, year: number): [bigint, bigint] {
  const n = BigInt(amounts.length)
  if (method === 'SAME_PERIOD_LAST_YEAR') return [amounts[number - year] ?? 0n, 1n]
  if (method === 'BASIS_AVERAGE') return [sum(amounts), n]
  if (n === 1n) return [sum(amounts) < 0n ? 0n : sum(amounts), 1n]
  // through the middle of the points, with the slope Σuy / Σu² over u = 2x - (n - 1), twice the distance from the middle
  const u = amounts.map((_, x) => 2n * BigInt(x) - (n - 1n))
  const uu = sum(u.map(one => one * one))
  const uy = sum(amounts.map((amount, x) => amount * (u[x] ?? 0n)))
  const numerator = sum(amounts) * uu + uy * (2n * BigInt(number) - (n - 1n)) * n
  return [numerator < 0n ? 0n : numerator, uu * n]
}

/** The goals after a run, or the code that it is refused with. */
export function computeGoals(sales: Sale[], goals: Cell[], args: ComputeGoals): Cell[] | string {
  const { basisPeriod, goalPeriod, interval } = args
  const grain = [...args.grain].sort().join()
  const locked = goals.filter(goal => goal.locked && overlaps(goal, goalPeriod))
  if (locked.some(goal => goal.interval !== interval || goal.grain !== grain)) return 'GOALS_LOCKED'
  const basis = sales.filter(({ date }) => within(date, basisPeriod))
  if (basis.length === 0) return 'NO_BASIS'

  const length = LENGTH_OF[interval]
  const intervals = daysOf(basisPeriod, interval)
  const combinations = new Map<string, { dimensions: Dimensions; amounts: bigint[] }>()
  for (const sale of basis) {
    const dimensions = atGrain(sale, args.grain)
    const entry = combinations.get(keyOf(dimensions)) ?? { dimensions, amounts: intervals.map(() => 0n) }
    combinations.set(keyOf(dimensions), entry)
    const index = intervals.indexOf(firstDay(sale.date, interval))
    entry.amounts[index] = (entry.amounts[index] ?? 0n) + sale.amount
  }
  if ([...combinations.values()].some(({ amounts }) => tooLarge(amounts))) return 'BAD_VALUE'

  const keys = new Set(locked.map(keyOf))
  const cells: Cell[] = []
  for (const period of daysOf(goalPeriod, interval)) {
    for (const { dimensions, amounts } of combinations.values()) {
      if (keys.has(keyOf({ period, ...dimensions }))) continue
      const number = (monthOf(period) - monthOf(basisPeriod.from)) / length
      const [numerator, denominator] = forecast(args.method, amounts, number, 12 / length)
      const basis = round(numerator, denominator)
      cells.push({ period, interval, grain, ...dimensions, basis, goal: 0n, locked: false })
    }
  }
  cells.sort(inOrder)
  if (tooLarge(cells.map(cell => cell.basis))) return 'BAD_VALUE'

  const exact = cells.map(({ basis }) => basis * (1_000_000n + args.growth))
  if (args.total === null) {
    for (const [index, cell] of cells.entries()) cell.goal = round(exact[index] ?? 0n, 10n ** 8n)
  } else {
    const rest = args.total - sum(locked.map(({ goal }) => goal))
    if (rest < 0n) return 'GOALS_LOCKED'
    if (rest > 0n && cells.length === 0) return 'GOALS_LOCKED'
    const weights = exact.map(weight => (weight < 0n ? 0n : weight))
    if (rest > 0n && sum(weights) === 0n) return 'NO_BASIS'
    const parts = shares(weights, rest)
    for (const [index, cell] of cells.entries()) cell.goal = parts[index] ?? 0n
  }
  if (tooLarge(cells.map(({ goal }) => goal))) return 'BAD_VALUE'
  const others = goals.filter(goal => !overlaps(goal, goalPeriod))
  const result = [...others, ...locked, ...cells]
  return tooLarge([sum([...locked, ...cells].map(({ goal }) => goal))]) ? 'BAD_VALUE' : result
}

export interface AdjustGoals {
  /** In cents. */
  total: bigint
  spread: 'PROPORTIONAL' | 'EVEN'
  keepTotal: boolean
  lock: boolean
}

/** The goals after an adjustment of those chosen, or the code that it is refused with. */
export function adjustGoals(goals: Cell[], chosen: (goal: Cell) => boolean, args: AdjustGoals): Cell[] | string {
  const cells = goals.map(goal => ({ ...goal })).sort(inOrder)
  const inside = cells.filter(chosen)
  const open = inside.filter(({ locked }) => !locked)
  const before = sum(inside.map(({ goal }) => goal))
  if (inside.length === 0) return 'NO_BASIS'
  if (open.length === 0) return 'GOALS_LOCKED'
  const rest = args.total - sum(inside.filter(({ locked }) => locked).map(({ goal }) => goal))
  if (rest < 0n) return 'GOALS_LOCKED'
  const outside = cells.filter(cell => !inside.includes(cell) && !cell.locked && cell.goal >= 0n)

  const weights = open.map(({ goal }) => (args.spread === 'EVEN' ? 1n : goal < 0n ? 0n : goal))
  if (sum(weights) === 0n) return 'NO_BASIS'
  const parts = shares(weights, rest)
  for (const [index, cell] of open.entries()) cell.goal = parts[index] ?? 0n

  const difference = args.total - before
  if (args.keepTotal && difference !== 0n) {
    if (outside.length === 0) return 'GOALS_LOCKED'
    const amounts = outside.map(({ goal }) => goal)
    if (sum(amounts) < difference) return 'GOALS_LOCKED'
    if (sum(amounts) === 0n) return 'NO_BASIS'
    // the opposite difference, rounded down: floor(-difference × weight / Σ), and a cent more to the largest remainders
    const added = sharesOfAny(amounts, -difference)
    for (const [index, cell] of outside.entries()) cell.goal += added[index] ?? 0n
  }
  if (tooLarge(cells.map(({ goal }) => goal))) return 'BAD_VALUE'
  if (args.lock) for (const cell of inside) cell.locked = true
  return cells
}

/** Like shares, also for what is below 0: rounded down is towards minus infinity. */
function sharesOfAny(weights: bigint[], total: bigint): bigint[] {
  const all = sum(weights)
  const floor = (value: bigint) => (value >= 0n || value % all === 0n ? value / all : value / all - 1n)
  const found = weights.map(weight => floor(weight * total))
  const left = Number(total - sum(found))
  const remainders = weights.map((weight, index) => ({ index, rest: weight * total - (found[index] ?? 0n) * all }))
  remainders.sort((a, b) => (a.rest === b.rest ? a.index - b.index : a.rest > b.rest ? -1 : 1))
  for (const { index } of remainders.slice(0, left)) found[index] = (found[index] ?? 0n) + 1n
  return found
}

/** The actuals, those of the goal period as the sales have them now; or the code that it is refused with. */
export function refreshActuals(
  sales: Sale[],
  actuals: Actual[],
  { goalPeriod, interval, grain }: Outline,
): Actual[] | string {
  const found = new Map<string, Actual>()
  for (const sale of sales) {
    if (!within(sale.date, goalPeriod)) continue
    const place = { period: firstDay(sale.date, interval), interval, grain: [...grain].sort().join() }
    const cell = { ...place, ...atGrain(sale, grain) }
    const known = found.get(keyOf(cell))
    if (known) known.amount += sale.amount
    else found.set(keyOf(cell), { ...cell, amount: sale.amount })
  }
  if (tooLarge([...found.values()].map(({ amount }) => amount))) return 'BAD_VALUE'
  return [...actuals.filter(actual => !overlaps(actual, goalPeriod)), ...found.values()]
}

/** Goal and actual of each group; see the query function. */
export function attainment(
  goals: Cell[],
  actuals: Actual[],
  { by, interval, ...period }: Period & { by: Dimension[]; interval: Interval | null },
): (Dimensions & { period: string | null; goal: bigint; actual: bigint })[] {
  const found = new Map<string, Dimensions & { period: string | null; goal: bigint; actual: bigint }>()
  const add = (cell: Dimensions & { period: string }, goal: bigint, actual: bigint) => {
    if (!within(cell.period, period)) return
    const group = { period: interval && firstDay(cell.period, interval), ...atGrain(cell, by), goal: 0n, actual: 0n }
    const entry = found.get(keyOf(group)) ?? group
    entry.goal += goal
    entry.actual += actual
    found.set(keyOf(entry), entry)
  }
  for (const cell of goals) add(cell, cell.goal, 0n)
  for (const actual of actuals) add(actual, 0n, actual.amount)
  const nobody = { siteId: null, productId: null, customerId: null, salespersonId: null }
  if (found.size === 0 && by.length === 0 && !interval) return [{ period: null, ...nobody, goal: 0n, actual: 0n }]
  return [...found.values()]
}
