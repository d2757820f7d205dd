import type { Table } from '../kinds/kind.ts'
import { decimalOf, type LogicalType, sumType, type Value } from '../kinds/types.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Measure } from './plan.ts'
import { columnOf } from './plan-tables.ts'

/** Of sums of whole numbers, which go past 64 bits. */
export const WIDE = 'DECIMAL(38,0)'
export const isWhole = (type: LogicalType) => type === 'INTEGER' || type === 'BIGINT'

/** What the measure's values are compared as to find a position; a sum of integers may have up to 38 digits. */
export function measureType(table: Table, measure: Measure): LogicalType {
  if (measure.is === 'count' || measure.is === 'countDistinct') return 'BIGINT'
  if (measure.is === 'avg') return 'DOUBLE'
  const { type } = columnOf(table, measure.column)
  if (measure.is !== 'sum') return type
  const sum = sumType(type)
  if (!sum) throw new Error(`there is no sum of ${measure.column}, which is ${type}`)
  return isWhole(sum) ? WIDE : sum
}

/** Whole numbers are compared with decimals: `count > 1.5` means what it says. */
export function havingType(table: Table, measure: Measure): LogicalType {
  const type = measureType(table, measure)
  return isWhole(type) ? WIDE : type
}

export const measureIsNullable = (measure: Measure): boolean => measure.is !== 'count' && measure.is !== 'countDistinct'

/**
 * What answers with values of the measure, if they are such: the engines' sums of decimals run on past the 38 digits of their
 * type, and those of doubles to infinity. It throws TeatreeError BAD_VALUE.
 */
export function measureCheck(table: Table, measure: Measure): (value: Value) => Value {
  if (measure.is === 'count') return value => value
  const type = measureType(table, measure)
  const isSound = decimalOf(type) ? fits : (value: Value) => type !== 'DOUBLE' || Number.isFinite(value)
  return value => {
    if (value === null || isSound(value)) return value
    throw new TeatreeError('BAD_VALUE', `the ${measure.is} of ${measure.column} is out of range`)
  }
}

const DIGITS = 38
function fits(value: Value): boolean {
  const text = String(value)
  return text.length <= DIGITS || text.replace(/\D/g, '').replace(/^0+/, '').length <= DIGITS
}
