import type { Measure } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import { refuse } from '../kinds/refuse.ts'
import { hasExtremes, type LogicalType, sumType } from '../kinds/types.ts'
import { columnOf } from './row-tables.ts'

/** As the schema's enum has them, but for GROUP. */
const MEASURES = {
  COUNT: 'count',
  SUM: 'sum',
  AVG: 'avg',
  MIN: 'min',
  MAX: 'max',
  COUNT_DISTINCT: 'countDistinct',
} as const
export type MeasureName = keyof typeof MEASURES | 'GROUP'

/** @throws TeatreeError BAD_VALUE where the measure is not one of that column */
export function measureOf(table: Table, name: MeasureName, column: string | null, path: string): Measure {
  if (name === 'GROUP') return refuse(`${path}.measure`, 'GROUP is no measure of a group')
  const is = MEASURES[name]
  if (is === 'count') return column === null ? { is } : refuse(`${path}.column`, 'COUNT takes no column')
  if (column === null) return refuse(`${path}.column`, `${name} takes a column`)
  const { type } = columnOf(table, column)
  const exists = is === 'countDistinct' || (is === 'sum' || is === 'avg' ? sumType(type) !== null : hasExtremes(type))
  return exists ? { is, column } : refuse(`${path}.column`, `there is no ${name} of ${column}, which is ${type}`)
}

/** The type of a measure's values; a sum of whole numbers may have up to 38 digits. */
export function measureType(table: Table, measure: Measure): LogicalType {
  if (measure.is === 'count' || measure.is === 'countDistinct') return 'BIGINT'
  if (measure.is === 'avg') return 'DOUBLE'
  const { type } = columnOf(table, measure.column)
  if (measure.is !== 'sum') return type
  const sum = sumType(type) ?? type
  return sum === 'BIGINT' ? 'DECIMAL(38,0)' : sum
}
