import { decimalOf, type LogicalType, type Value } from '../kinds/types.ts'

/** What a value of a column is compared with; not `exact` where no value of the column equals it. */
export interface Comparable {
  value: Exclude<Value, null>
  type: LogicalType
  exact: boolean
}

/**
 * The operand of a comparison with a `type`. A decimal may have more places than the type, or more digits: it is
 * rounded down to the places, and only where it is too big is it compared in a wider type, as then what is known of the
 * column's range is no use.
 */
export function comparable(value: Exclude<Value, null>, type: LogicalType): Comparable {
  const decimal = decimalOf(type)
  if (!decimal || typeof value !== 'string') return { value, type, exact: true }
  const [, sign = '', whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(value) ?? []
  const { precision, scale } = decimal
  const exact = !/[1-9]/.test(fraction.slice(scale))
  const magnitude = BigInt(whole + fraction.slice(0, scale).padEnd(scale, '0')) + (sign && !exact ? 1n : 0n)
  const digits = String(magnitude).padStart(scale + 1, '0')
  const text = `${sign}${digits.slice(0, digits.length - scale)}${scale > 0 ? `.${digits.slice(-scale)}` : ''}`
  return { value: text, type: digits.length > precision ? `DECIMAL(38,${scale})` : type, exact }
}
