import type { Bucket, Filter } from '../../src/engine/plan.ts'
import { decimalOf, type LogicalType, type Row, type Value } from '../../src/kinds/types.ts'

/** SQL's three values: true, false, and null for unknown. */
export function decide(
  filter: Filter,
  read: (column: string) => Value,
  type: LogicalType | ((column: string) => LogicalType),
  through?: (filter: Extract<Filter, { is: 'through' }>) => boolean,
): boolean | null {
  const again = (of: Filter) => decide(of, read, type, through)
  switch (filter.is) {
    case 'and': {
      const parts = filter.of.map(again)
      return parts.includes(false) ? false : parts.includes(null) ? null : true
    }
    case 'or': {
      const parts = filter.of.map(again)
      return parts.includes(true) ? true : parts.includes(null) ? null : false
    }
    case 'not': {
      const part = again(filter.of)
      return part === null ? null : !part
    }
    case 'through':
      return through ? through(filter) : null
    case 'null':
      return (read(filter.column) === null) !== filter.negated
    case 'in': {
      if (filter.values.length === 0) return filter.negated
      const value = read(filter.column)
      if (value === null) return null
      const order = byType(typeof type === 'string' ? type : type(filter.column))
      return filter.values.some(other => order(value, other) === 0) !== filter.negated
    }
    case 'compare': {
      const value = read(filter.column)
      if (value === null) return null
      if (filter.op === 'like') return like([...String(value)], [...String(filter.value)])
      if (filter.op === 'ilike') {
        return like([...String(value).toLowerCase()], [...String(filter.value).toLowerCase()])
      }
      const order = byType(typeof type === 'string' ? type : type(filter.column))(value, filter.value)
      const holds = {
        eq: order === 0,
        neq: order !== 0,
        gt: order > 0,
        gte: order >= 0,
        lt: order < 0,
        lte: order <= 0,
      }
      return holds[filter.op]
    }
  }
}

function like(text: readonly string[], pattern: readonly string[]): boolean {
  const [first, ...rest] = pattern
  if (first === undefined) return text.length === 0
  if (first === '%') return text.some((_, index) => like(text.slice(index), rest)) || like([], rest)
  if (text.length === 0) return false
  if (first === '_') return like(text.slice(1), rest)
  const [escaped, ...behind] = rest
  if (first === '\\' && escaped !== undefined) return text[0] === escaped && like(text.slice(1), behind)
  return text[0] === first && like(text.slice(1), rest)
}

type Compare = (a: Exclude<Value, null>, b: Exclude<Value, null>) => number

const sign = (a: bigint | number | string, b: bigint | number | string) => (a < b ? -1 : a > b ? 1 : 0)

export function byType(type: LogicalType): Compare {
  if (type === 'VARCHAR') return (a, b) => Buffer.compare(Buffer.from(String(a)), Buffer.from(String(b)))
  if (type === 'BIGINT' || decimalOf(type)) return (a, b) => sign(units(a), units(b))
  if (type === 'DATE' || type === 'TIMESTAMP') return (a, b) => sign(String(a), String(b))
  return (a, b) => sign(Number(a), Number(b))
}

export const PLACES = 40
/** A decimal in units of 10^-40. */
export function units(value: Value): bigint {
  const [, minus, whole = '', fraction = ''] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(String(value)) ?? []
  const size = BigInt(whole + fraction.padEnd(PLACES, '0'))
  return minus ? -size : size
}

export function decimalText(amount: bigint, scale: number): string {
  const digits = String(amount < 0n ? -amount : amount)
    .padStart(PLACES + 1, '0')
    .slice(0, scale - PLACES || undefined)
  const point = digits.length - scale
  return `${amount < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`
}

export function nullsAt(compare: Compare, direction: 'ASC' | 'DESC', nulls: 'FIRST' | 'LAST') {
  return (a: Value, b: Value): number => {
    if (a === null && b === null) return 0
    if (a === null) return nulls === 'FIRST' ? -1 : 1
    if (b === null) return nulls === 'FIRST' ? 1 : -1
    return direction === 'ASC' ? compare(a, b) : compare(b, a)
  }
}

export function rowOrder(orders: readonly { read: (row: Row) => Value; compare: (a: Value, b: Value) => number }[]) {
  return (a: Row, b: Row): number => {
    for (const { read, compare } of orders) {
      const result = compare(read(a), read(b))
      if (result !== 0) return result
    }
    return 0
  }
}

export function bucketed(value: Value, bucket: Bucket | undefined): Value {
  if (value === null || !bucket) return value
  const text = String(value)
  const day = new Date(`${text.slice(0, 10)}T00:00:00Z`)
  if (bucket === 'WEEK') day.setUTCDate(day.getUTCDate() - ((day.getUTCDay() + 6) % 7))
  if (bucket === 'MONTH' || bucket === 'QUARTER' || bucket === 'YEAR') day.setUTCDate(1)
  if (bucket === 'QUARTER') day.setUTCMonth(Math.floor(day.getUTCMonth() / 3) * 3)
  if (bucket === 'YEAR') day.setUTCMonth(0)
  const date = day.toISOString().slice(0, 10)
  return text.length === 10 ? date : `${date}T00:00:00.000000Z`
}
