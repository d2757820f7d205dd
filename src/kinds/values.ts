import { decimalPlaces, readDecimal, writeDecimal } from './decimal.ts'
import { decimalOf, type LogicalType, type TypeName, typeName, type Value } from './types.ts'

/** A value that cannot be what it should be. The message says what was wrong and what would be right. */
export class BadValue extends Error {
  override readonly name = 'BadValue'
}

/** A VARCHAR holds at most this many bytes of UTF-8. */
export const MAX_VARCHAR_BYTES = 1_048_576

/** A decimal, in a column or beside one in a comparison, has at most this many digits. */
const MAX_DIGITS = 38

type Present = Exclude<Value, null>

/**
 * The value in its canonical form (types.ts), the same number, text or instant to the last digit.
 * @throws BadValue where the type cannot hold it exactly; null is no value here, nullability is the caller's.
 */
export function coerce(type: LogicalType, value: unknown): Present {
  const name = typeName(type)
  const canonical = READERS[name](value, type)
  if (canonical === undefined) throw new BadValue(`${shown(value)} is no ${type}; give ${EXPECTED[name](type)}`)
  return canonical
}

/**
 * Like coerce, for what a column is compared with: a decimal may have more digits than the column holds, up to 38 in all,
 * and keeps them, as `amount > 1.23456` means what it says on a scale of 4.
 * @throws BadValue
 */
export function coerceOperand(type: LogicalType, value: unknown): Present {
  const decimal = decimalOf(type)
  const read = decimal && decimalFrom(value)
  if (!decimal || !read) return coerce(type, value)
  const { before, after } = decimalPlaces(read)
  const scale = Math.max(decimal.scale, after)
  if (before + scale > MAX_DIGITS) {
    throw new BadValue(`${shown(value)} has too many digits to be compared with ${type}; give at most ${MAX_DIGITS}`)
  }
  return writeDecimal(read, scale)
}

/** By the bytes of UTF-8, which is by code point: less than 0, 0 or more than 0. The order of strings everywhere. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) {
    const left = a.charCodeAt(index)
    const right = b.charCodeAt(index)
    if (left !== right) return byCodePoint(left) - byCodePoint(right)
  }
  return a.length - b.length
}

/** The trap of UTF-16: its surrogates, which stand for the highest code points, lie below U+E000. */
const byCodePoint = (unit: number): number => (unit < 0xd800 ? unit : unit < 0xe000 ? unit + 0x2000 : unit - 0x800)

/** An object that holds values by name, as JSON and GraphQL make them. */
export const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value)

/** A value as a message shows it: on one line, and cut where it is long. */
export function shown(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 60 ? `${value.slice(0, 60)}…` : value)
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object' && value !== null) return 'an object'
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value}`
  return String(value).slice(0, 60)
}

/** Undefined: no value of the type. */
const READERS: Record<TypeName, (value: unknown, type: LogicalType) => Present | undefined> = {
  VARCHAR: value => (typeof value === 'string' ? soundText(value) : undefined),
  // + 0 makes 0 of -0, which JSON cannot tell from it
  INTEGER: value => (typeof value === 'number' && (value | 0) === value ? value + 0 : undefined),
  BIGINT: bigintFrom,
  DOUBLE: value => (typeof value === 'number' && Number.isFinite(value) ? value + 0 : undefined),
  BOOLEAN: value => (typeof value === 'boolean' ? value : undefined),
  DATE: value => (typeof value === 'string' && isDate(value) ? value : undefined),
  TIMESTAMP: value => (typeof value === 'string' ? utc(value) : undefined),
  DECIMAL: (value, type) => {
    const { precision, scale } = decimalOf(type) ?? { precision: 0, scale: 0 }
    const read = decimalFrom(value)
    if (!read) return undefined
    const { before, after } = decimalPlaces(read)
    return before <= precision - scale && after <= scale ? writeDecimal(read, scale) : undefined
  },
}

const EXPECTED: Record<TypeName, (type: LogicalType) => string> = {
  VARCHAR: () => 'a string',
  INTEGER: () => 'a whole number from -2147483648 to 2147483647',
  BIGINT: () => 'a whole number of 64 bits, as a string of digits where it is beyond 2^53',
  DOUBLE: () => 'a finite number',
  BOOLEAN: () => 'true or false',
  DATE: () => 'a day of the calendar as "2013-01-31", from 0001-01-01 to 9999-12-31',
  TIMESTAMP: () => 'an instant as "2013-01-31T09:00:00.123456Z", with Z or an offset, in the years 1 to 9999',
  DECIMAL: type => {
    const { precision, scale } = decimalOf(type) ?? { precision: 0, scale: 0 }
    return `a decimal with at most ${precision - scale} digits before the point and ${scale} after it`
  },
}

/** A text that every engine and every file format can hold. */
function soundText(text: string): string {
  // one unit of UTF-16 is at most three bytes, so that only long texts need counting
  if (text.length * 3 > MAX_VARCHAR_BYTES && Buffer.byteLength(text) > MAX_VARCHAR_BYTES) {
    throw new BadValue(`${shown(text)} is longer than the ${MAX_VARCHAR_BYTES} bytes of UTF-8 that a VARCHAR holds`)
  }
  if (text.includes('\0')) throw new BadValue(`${shown(text)} holds the character U+0000, which no VARCHAR can hold`)
  if (!text.isWellFormed()) throw new BadValue(`${shown(text)} holds half a surrogate pair and so is no Unicode text`)
  return text
}

function bigintFrom(value: unknown): string | undefined {
  const whole =
    typeof value === 'bigint' || Number.isSafeInteger(value)
      ? BigInt(value as bigint | number)
      : typeof value === 'string' && /^[+-]?\d{1,40}$/.test(value)
        ? BigInt(value.replace(/^\+/, ''))
        : undefined
  return whole !== undefined && BigInt.asIntN(64, whole) === whole ? String(whole) : undefined
}

/** A number is taken by its shortest text: 0.1 is one tenth, as its writer meant. */
function decimalFrom(value: unknown): ReturnType<typeof readDecimal> {
  if (typeof value === 'string') return readDecimal(value)
  return typeof value === 'bigint' || Number.isFinite(value) ? readDecimal(String(value)) : null
}

function isDate(text: string): boolean {
  const match = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text)
  if (!match || match[1] === '0000') return false
  // Date moves 31 February into March instead of refusing it
  const day = new Date(`${text}T00:00:00Z`)
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(text)
}

/** The instant in canonical form. Digits after the sixth are fine while they are zeros: nothing is lost with them. */
function utc(text: string): string | undefined {
  const match =
    /^(\d{4}-\d{2}-\d{2})T([01]\d|2[0-3]):([0-5]\d)(?::([0-5]\d)(?:\.(\d{1,6})0*)?)?(?:Z|([+-])([01]\d|2[0-3]):([0-5]\d))$/.exec(
      text,
    )
  if (!match) return undefined
  const [, day = '', hour, minute, second = '00', fraction = '', sign, offsetHours, offsetMinutes] = match
  if (!isDate(day)) return undefined
  const offset = sign ? Number(`${sign}1`) * (Number(offsetHours) * 60 + Number(offsetMinutes)) : 0
  const instant = new Date(Date.parse(`${day}T${hour}:${minute}:${second}Z`) - offset * 60_000).toISOString()
  // years outside 0 to 9999 begin with a sign
  if (!/^\d{4}-/.test(instant) || instant.startsWith('0000')) return undefined
  return `${instant.slice(0, 19)}.${fraction.padEnd(6, '0')}Z`
}
