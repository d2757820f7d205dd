import type { AggregateOrder, Bucket, Direction, Group, Having, Nulls } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import { refuse } from '../kinds/refuse.ts'
import { isRecord } from '../kinds/values.ts'
import { parseComparisons } from '../kinds/where.ts'
import { type MeasureName, measureOf, measureType } from './measures.ts'
import { columnOf } from './row-tables.ts'

/** The arguments of an aggregate's field, as the generated inputs give them. */
export interface AggregateArguments {
  groupBy?: readonly { column: string; bucket?: Bucket | null }[] | null
  having?: readonly { measure: MeasureName; column?: string | null; is: unknown }[] | null
  orderBy?:
    | readonly { measure: MeasureName; column?: string | null; direction?: Direction | null; nulls?: Nulls | null }[]
    | null
}
type Items<K extends keyof AggregateArguments> = NonNullable<AggregateArguments[K]>

/** @throws TeatreeError BAD_VALUE */
export function groupsOf(table: Table, groupBy: Items<'groupBy'>): Group[] {
  return groupBy.map(({ column, bucket }, index) => {
    const { type } = columnOf(table, column)
    const path = `groupBy[${index}]`
    if (groupBy.findIndex(other => other.column === column) < index) refuse(path, `${column} is grouped by already`)
    if (!bucket) return { column }
    if (type !== 'DATE' && type !== 'TIMESTAMP')
      refuse(`${path}.bucket`, `${column} is ${type}; only dates have buckets`)
    return { column, bucket }
  })
}

/** @throws TeatreeError BAD_VALUE */
export function havingOf(table: Table, having: Items<'having'>): Having[] {
  return having.map(({ measure: name, column, is }, index) => {
    const path = `having[${index}]`
    const measure = measureOf(table, name, column ?? null, path)
    const type = measureType(table, measure)
    // Counts are compared with decimals too: `count > 1.5` means what it says.
    const compared = type === 'BIGINT' || type === 'INTEGER' ? 'DECIMAL(38,0)' : type
    const operands = type === 'DOUBLE' ? asNumbers(is) : is
    return { measure, filter: parseComparisons({ name: name.toLowerCase(), type: compared }, operands, `${path}.is`) }
  })
}

/** The order as it was asked for, then every group: it tells all groups apart. @throws TeatreeError BAD_VALUE */
export function ordersOf(table: Table, groups: readonly Group[], orderBy: Items<'orderBy'>): AggregateOrder[] {
  const wanted = orderBy.map(({ measure: name, column, direction, nulls }, index): AggregateOrder => {
    const path = `orderBy[${index}]`
    const order = { direction: direction ?? 'ASC', nulls: nulls ?? 'LAST' } as const
    if (name !== 'GROUP') return { by: measureOf(table, name, column ?? null, path), ...order }
    const group = groups.findIndex(other => other.column === column)
    if (group < 0) refuse(`${path}.column`, `${column ?? 'null'} is not grouped by`)
    return { by: { is: 'group', index: group }, ...order }
  })
  const rest = groups.map(
    (_, index): AggregateOrder => ({ by: { is: 'group', index }, direction: 'ASC', nulls: 'LAST' }),
  )
  const names = new Set<string>()
  // what comes a second time has nothing left to order
  return [...wanted, ...rest].filter(({ by }) => {
    const name = JSON.stringify(by)
    return !names.has(name) && names.add(name)
  })
}

/** The operands of a DecimalFilter, which are text, for a measure that is a double. */
const asNumbers = (is: unknown): unknown =>
  isRecord(is) ? Object.fromEntries(Object.entries(is).map(([operator, operand]) => [operator, asNumber(operand)])) : is
const asNumber = (operand: unknown): unknown => {
  if (Array.isArray(operand)) return operand.map(asNumber)
  return typeof operand === 'string' ? Number(operand) : operand
}
