import type { Kind } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import type { AggregatePlan, Filter, RowsPlan } from './plan.ts'
import { tableOf } from './plan-tables.ts'

/** What can be read of one version by a plan. */
export type PlanRead =
  | { is: 'rows'; plan: RowsPlan }
  | {
      is: 'rows by keys'
      table: string
      columns: readonly string[]
      keyColumns: readonly string[]
      keys: readonly (readonly Value[])[]
    }
  | { is: 'count'; table: string; where: Filter }
  | { is: 'groups'; plan: AggregatePlan }
  | { is: 'count of groups'; plan: AggregatePlan }

/** The table whose rows it reads. */
export const tableRead = (read: PlanRead): string => ('plan' in read ? read.plan.table : read.table)

/** The tables that its filter looks into besides. */
export function tablesBeside(kind: Kind, read: PlanRead): Set<string> {
  const found = new Set<string>()
  const look = (table: string, filter: Filter): void => {
    if (filter.is === 'and' || filter.is === 'or') for (const part of filter.of) look(table, part)
    else if (filter.is === 'not') look(table, filter.of)
    else if (filter.is === 'through') {
      const target = tableOf(kind, table).references.find(({ as }) => as === filter.as)?.table
      if (target === undefined) throw new Error(`table ${table} has no reference ${filter.as}`)
      found.add(target)
      look(target, filter.of)
    }
  }
  if (read.is !== 'rows by keys') look(tableRead(read), 'plan' in read ? read.plan.where : read.where)
  return found
}

/**
 * What finds, among some rows, one that would have made the answer another, had it been there; none where it is the same. A page
 * that is full ends with its last row, and what comes behind that is on another.
 */
export function touchingRead(kind: Kind, read: PlanRead, answer: readonly Row[]): PlanRead {
  if (read.is === 'rows by keys') return read
  const key = tableOf(kind, tableRead(read)).key.map(column => ({ column, direction: 'ASC', nulls: 'LAST' }) as const)
  if (read.is !== 'rows') {
    const where = 'plan' in read ? read.plan.where : read.where
    return { is: 'rows', plan: { table: tableRead(read), columns: [], where, orderBy: key, limit: 1 } }
  }
  const { plan } = read
  const edge = answer.length < plan.limit ? undefined : plan.last ? answer[0] : answer.at(-1)
  const position = edge && plan.orderBy.map(({ column }) => edge[column] ?? null)
  const bound = position && (plan.last ? { after: position } : { before: position })
  return { is: 'rows', plan: { ...plan, columns: [], ...bound, limit: 1, last: false } }
}
