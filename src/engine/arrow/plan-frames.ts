import { measuresOf } from '../aggregate-rows.ts'
import type { AggregatePlan } from '../plan.ts'
import type { PlanRead } from '../plan-reads.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { countOfGroups, groupsOfRows, pageOfGroups, planOfCount } from './groups.ts'
import { type Asked, type AskedOfRows, countOfRows, pageOfRows, rowsByKeys } from './rows.ts'
import type { Frames } from './where.ts'

/** What a plan asks Polars for. */
export function askedBy(frames: Frames, read: PlanRead): Asked {
  switch (read.is) {
    case 'groups':
      return pageOfGroups(frames.kind, read.plan, groupsOfRows(frames, read.plan))
    case 'count of groups': {
      const plan = planOfCount(read.plan)
      return countOfGroups(frames.kind, plan, groupsOfRows(frames, plan))
    }
    default:
      return askedOfRows(frames, read)
  }
}

/** Reads that are answered with rows, or with how many there are. */
export type RowsRead = Exclude<PlanRead, { is: 'groups' | 'count of groups' }>

export function askedOfRows(frames: Frames, read: RowsRead): AskedOfRows {
  switch (read.is) {
    case 'rows':
      return pageOfRows(frames, read.plan)
    case 'rows by keys':
      return rowsByKeys(frames, read.table, read.columns, read.keyColumns, read.keys)
    case 'count':
      return countOfRows(frames, read.table, read.where)
  }
}

/**
 * Whether the plan has a sum of doubles. Such a sum depends on the order of its values and on how what is lost of each is
 * carried along, which Polars does not do: it is DuckDB's, to the last bit.
 */
export function sumsDoubles({ kind }: Frames, read: PlanRead): boolean {
  if (read.is !== 'groups' && read.is !== 'count of groups') return false
  const table = tableOf(kind, read.plan.table)
  const isOfDoubles = (measure: ReturnType<typeof measuresOf>[number]) =>
    (measure.is === 'sum' || measure.is === 'avg') && columnOf(table, measure.column).type === 'DOUBLE'
  return measuresOf(read.plan satisfies AggregatePlan).some(isOfDoubles)
}
