import type { Kind } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import { measureCheck } from './measures.ts'
import type { AggregatePlan, AggregateRow, Measure } from './plan.ts'
import { tableOf } from './plan-tables.ts'

/*
 * Groups as engines read them: a row with a column for each group, and one for each measure that anything needs.
 */

/** What takes out of such rows what the plan asks for. It throws TeatreeError BAD_VALUE where a measure is out of range. */
export function aggregateReader(kind: Kind, plan: AggregatePlan): (row: Row) => AggregateRow {
  const table = tableOf(kind, plan.table)
  const all = measuresOf(plan)
  type Read = (row: Row) => Value
  const group = (index: number): Read => {
    const name = groupColumn(index)
    return row => row[name] ?? null
  }
  const measured = (measure: Measure): Read => {
    const [name, checked] = [measureColumn(placeOf(all, measure)), measureCheck(table, measure)]
    return row => checked(row[name] ?? null)
  }
  const groups = plan.groups.map((_, index) => group(index))
  const measures = plan.measures.map(measured)
  const position = plan.orderBy.map(({ by }) => (by.is === 'group' ? group(by.index) : measured(by)))
  const each = (reads: readonly Read[], row: Row) => reads.map(read => read(row))
  return row => ({ groups: each(groups, row), measures: each(measures, row), position: each(position, row) })
}

/** No column of a kind has a space in its name. */
export const groupColumn = (index: number) => `group ${index}`
export const measureColumn = (index: number) => `measure ${index}`

/** Each measure once: those asked for, those that groups are selected and ordered by; and never none at all. */
export function measuresOf(plan: AggregatePlan): Measure[] {
  const all: Measure[] = [
    { is: 'count' },
    ...plan.measures,
    ...plan.having.map(({ measure }) => measure),
    ...plan.orderBy.flatMap(({ by }) => (by.is === 'group' ? [] : [by])),
  ]
  return all.filter((measure, index) => placeOf(all, measure) === index)
}

export const placeOf = (measures: readonly Measure[], measure: Measure): number =>
  measures.findIndex(other => other.is === measure.is && columnName(other) === columnName(measure))
const columnName = (measure: Measure) => ('column' in measure ? measure.column : undefined)
