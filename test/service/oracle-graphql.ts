import type {
  AggregatePlan,
  AggregateRow,
  Bucket,
  Direction,
  Filter,
  Measure,
  Nulls,
  Order,
} from '../../src/engine/plan.ts'
import type { Table } from '../../src/kinds/kind.ts'
import type { Row, Value } from '../../src/kinds/types.ts'
import { tableOf } from '../engine/reader-plans.ts'

/** Plans as clients ask for them, and what they should be answered. */

type Where = Record<string, unknown>

/** The filter, with no comparison of truth values that GraphQL has no operator for. */
export function askable(table: Table, filter: Filter): Filter {
  const isTruth = (column: string) => table.columns.get(column)?.type === 'BOOLEAN'
  switch (filter.is) {
    case 'and':
    case 'or':
      return { is: filter.is, of: filter.of.map(part => askable(table, part)) }
    case 'not':
      return { is: 'not', of: askable(table, filter.of) }
    case 'through': {
      const reference = table.references.find(({ as }) => as === filter.as)
      return { ...filter, of: askable(tableOf(reference?.table ?? ''), filter.of) }
    }
    case 'compare':
      return isTruth(filter.column) ? { ...filter, op: 'eq' } : filter
    case 'in': {
      if (!isTruth(filter.column)) return filter
      const of = filter.values.map((value): Filter => ({ is: 'compare', column: filter.column, op: 'eq', value }))
      return filter.negated ? { is: 'not', of: { is: 'or', of } } : { is: 'or', of }
    }
    default:
      return filter
  }
}

/** The filter as a `where`. */
export function whereOf(filter: Filter): Where {
  switch (filter.is) {
    case 'and':
      return allOf(filter.of.map(whereOf))
    case 'or':
      return { or: filter.of.map(whereOf) }
    case 'not':
      return { not: whereOf(filter.of) }
    case 'through':
      return { [filter.as]: whereOf(filter.of) }
    case 'null':
      return { [filter.column]: { isNull: !filter.negated } }
    case 'in':
      return { [filter.column]: { [filter.negated ? 'notIn' : 'in']: filter.values } }
    case 'compare':
      return { [filter.column]: { [filter.op]: filter.value } }
  }
}

/** In one object, as people write it, wherever no two of them say the same of the same. */
function allOf(parts: readonly Where[]): Where {
  const whole: Where = {}
  for (const [key, value] of parts.flatMap(part => Object.entries(part))) {
    const there = whole[key]
    if (there === undefined) whole[key] = value
    else if (areOperators(there) && areOperators(value) && !Object.keys(value).some(name => name in there)) {
      whole[key] = { ...there, ...value }
    } else return { and: parts }
  }
  return whole
}

const OPERATORS = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte', 'like', 'ilike', 'in', 'notIn', 'isNull']
const areOperators = (value: unknown): value is object =>
  typeof value === 'object' && value !== null && Object.keys(value).every(name => OPERATORS.includes(name))

/** The order as it is asked for: what completes it is left to the server. */
export function orderByOf(table: Table, orderBy: readonly Order[]): Order[] {
  const completed = (from: number) => {
    const before = orderBy.slice(0, from).map(({ column }) => column)
    return table.key.filter(name => !before.includes(name)).map(column => ({ column, direction: 'ASC', nulls: 'LAST' }))
  }
  const from = orderBy.findIndex(
    (_, index) => JSON.stringify(completed(index)) === JSON.stringify(orderBy.slice(index)),
  )
  return orderBy.slice(0, from < 0 ? orderBy.length : from)
}

/** A value as a GraphQL literal; names of enums are no part of it. */
export function literal(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(literal).join(', ')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  return `{ ${Object.entries(value)
    .map(([name, item]) => `${name}: ${literal(item)}`)
    .join(', ')} }`
}

const MEASURES: Record<Measure['is'], string> = {
  count: 'COUNT',
  sum: 'SUM',
  avg: 'AVG',
  min: 'MIN',
  max: 'MAX',
  countDistinct: 'COUNT_DISTINCT',
}

const named = (measure: Measure) => ({
  measure: MEASURES[measure.is],
  ...('column' in measure && { column: measure.column }),
})

export interface AggregateArguments {
  where: Where
  groupBy: { column: string; bucket?: Bucket }[]
  having: { measure: string; is: Where }[]
  orderBy: { measure: string; column?: string; direction: Direction; nulls: Nulls }[]
}

/** The plan, with what GraphQL has: there is no extreme of a text, and a measure has no `or` and no `not`. */
export function askableAggregate(table: Table, plan: AggregatePlan): AggregatePlan {
  const exists = (measure: Measure) => {
    const type = 'column' in measure ? table.columns.get(measure.column)?.type : undefined
    return (measure.is !== 'min' && measure.is !== 'max') || (type !== 'VARCHAR' && type !== 'BOOLEAN')
  }
  const plain = (filter: Filter): Filter[] => {
    if (filter.is === 'not') return plain(filter.of)
    return filter.is === 'or' || filter.is === 'and' ? filter.of.flatMap(plain) : [filter]
  }
  return {
    ...plan,
    where: askable(table, plan.where),
    measures: plan.measures.filter(exists),
    having: plan.having.flatMap(({ measure, filter }) => plain(filter).map(each => ({ measure, filter: each }))),
    orderBy: plan.orderBy.filter(({ by }) => by.is === 'group' || exists(by)),
  }
}

export const aggregateArguments = (plan: AggregatePlan): AggregateArguments => ({
  where: whereOf(plan.where),
  groupBy: plan.groups.map(group => ({ ...group })),
  having: plan.having.map(({ measure, filter }) => ({
    ...named(measure),
    is: Object.values(whereOf(filter))[0] as Where,
  })),
  orderBy: plan.orderBy.map(({ by, direction, nulls }) => ({
    ...(by.is === 'group' ? { measure: 'GROUP', column: plan.groups[by.index]?.column ?? '' } : named(by)),
    direction,
    nulls,
  })),
})

/** What the measures are selected with; `{ count sum { amount } }`. */
export function measureSelection(measures: readonly Measure[]): string {
  const columns = new Map<string, Set<string>>()
  for (const measure of measures)
    if ('column' in measure) columns.set(measure.is, (columns.get(measure.is) ?? new Set()).add(measure.column))
  const parts = [...columns].map(([is, names]) => `${is} { ${[...names].join(' ')} }`)
  return ['count', ...parts].join(' ')
}

/** The group as it should be answered, but for what it refers to. */
export function groupNode(plan: AggregatePlan, { groups, measures }: AggregateRow): Record<string, unknown> {
  const node: Record<string, Record<string, Value> | Value> = {
    group: Object.fromEntries(plan.groups.map(({ column }, index) => [column, groups[index] ?? null])),
  }
  for (const [index, measure] of plan.measures.entries()) {
    const value = measures[index] ?? null
    if (measure.is === 'count') node.count = value
    else node[measure.is] = { ...(node[measure.is] as Record<string, Value>), [measure.column]: value }
  }
  return node
}

/** Instants are answered with as many places as they need, and at least three. */
export const canonical = (answer: unknown): unknown => {
  if (Array.isArray(answer)) return answer.map(canonical)
  if (typeof answer === 'object' && answer !== null)
    return Object.fromEntries(Object.entries(answer).map(([name, value]) => [name, canonical(value)]))
  const instant = typeof answer === 'string' ? /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\.(\d{3,6})Z$/.exec(answer) : null
  return instant ? `${instant[1]}.${instant[2]?.padEnd(6, '0')}Z` : answer
}

export const keyOf = (table: Table, row: Row): Value[] => table.key.map(name => row[name] ?? null)
