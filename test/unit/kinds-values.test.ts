import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogicalType } from '../../src/kinds/types.ts'
import { BadValue, coerce, coerceOperand, compareUtf8, MAX_VARCHAR_BYTES } from '../../src/kinds/values.ts'

const TYPES: readonly LogicalType[] = [
  ...(['VARCHAR', 'INTEGER', 'BIGINT', 'DOUBLE', 'BOOLEAN', 'DATE', 'TIMESTAMP'] as const),
  ...(['DECIMAL(18,4)', 'DECIMAL(38,0)', 'DECIMAL(38,38)', 'DECIMAL(1,0)'] as const),
]

/** Values of every sort, and texts that nearly are one. */
const anything = fc.oneof(
  fc.anything(),
  fc.double(),
  fc.maxSafeInteger(),
  fc.bigInt(),
  fc.date({ noInvalidDate: false }).map(String),
  fc.date({ noInvalidDate: true }).map(date => date.toISOString()),
  fc.stringMatching(/^[+-]?\d{1,40}(\.\d{1,40})?(e[+-]?\d{1,3})?$/),
  fc.stringMatching(/^\d{4}-[01]\d-[0-3]\d(T[0-2]\d:[0-6]\d:[0-6]\d(\.\d{1,9})?(Z|[+-][0-2]\d:[0-6]\d))?$/),
)

describe('coerce', () => {
  test.each<[LogicalType, unknown, unknown]>([
    ['VARCHAR', '', ''],
    ['VARCHAR', 'Ærø 🧪', 'Ærø 🧪'],
    ['INTEGER', -2147483648, -2147483648],
    ['BIGINT', '9223372036854775807', '9223372036854775807'],
    ['BIGINT', '-0', '0'],
    ['BIGINT', '007', '7'],
    ['BIGINT', 12, '12'],
    ['BIGINT', -9223372036854775808n, '-9223372036854775808'],
    ['DOUBLE', 1e308, 1e308],
    ['BOOLEAN', false, false],
    ['DECIMAL(18,4)', '1.50000', '1.5000'],
    ['DECIMAL(18,4)', '-0', '0.0000'],
    ['DECIMAL(18,4)', -0.0, '0.0000'],
    ['DECIMAL(18,4)', '1e3', '1000.0000'],
    ['DECIMAL(18,4)', '0e999999999', '0.0000'],
    ['DECIMAL(18,4)', 12, '12.0000'],
    ['DECIMAL(38,10)', 1e-7, '0.0000001000'],
    ['DECIMAL(38,2)', 1e21, '1000000000000000000000.00'],
    ['DECIMAL(18,4)', 0.1, '0.1000'],
    ['DECIMAL(3,0)', '-999', '-999'],
    ['DATE', '2024-02-29', '2024-02-29'],
    ['DATE', '0001-01-01', '0001-01-01'],
    ['TIMESTAMP', '2013-01-31T09:00Z', '2013-01-31T09:00:00.000000Z'],
    ['TIMESTAMP', '2013-01-31T09:00:00.123456Z', '2013-01-31T09:00:00.123456Z'],
    ['TIMESTAMP', '2013-01-31T09:00:00.100000000Z', '2013-01-31T09:00:00.100000Z'],
    ['TIMESTAMP', '2013-01-01T00:30:00+01:00', '2012-12-31T23:30:00.000000Z'],
    ['TIMESTAMP', '9999-12-31T23:59:59.999999Z', '9999-12-31T23:59:59.999999Z'],
    ['TIMESTAMP', '0001-01-01T00:00:00-00:30', '0001-01-01T00:30:00.000000Z'],
  ])('%s takes %s as %s', (type, value, canonical) => {
    expect(coerce(type, value)).toBe(canonical)
  })

  test('there is no negative zero: JSON could not tell it', () => {
    expect(Object.is(coerce('INTEGER', -0), 0) && Object.is(coerce('DOUBLE', -0), 0)).toBe(true)
  })

  test.each<[LogicalType, unknown]>([
    ['VARCHAR', 1],
    ['VARCHAR', 'a\0b'],
    ['VARCHAR', 'half \ud83e'],
    ['VARCHAR', 'x'.repeat(MAX_VARCHAR_BYTES + 1)],
    ['VARCHAR', '€'.repeat(MAX_VARCHAR_BYTES / 3 + 1)],
    ['INTEGER', '1'],
    ['INTEGER', 1.5],
    ['INTEGER', 2147483648],
    ['INTEGER', Number.NaN],
    ['BIGINT', '1.0'],
    ['BIGINT', ''],
    ['BIGINT', 2 ** 53],
    ['BIGINT', '9223372036854775808'],
    ['DOUBLE', Number.POSITIVE_INFINITY],
    ['DOUBLE', '1'],
    ['BOOLEAN', 'true'],
    ['BOOLEAN', 1],
    ['DECIMAL(18,4)', '1.00001'],
    ['DECIMAL(18,4)', '100000000000000'],
    ['DECIMAL(18,4)', 1e14],
    ['DECIMAL(18,4)', '1e999999999999'],
    ['DECIMAL(18,4)', '1e-999999999999'],
    ['DECIMAL(18,4)', '1,5'],
    ['DECIMAL(18,4)', ' 1'],
    ['DECIMAL(18,4)', ''],
    ['DECIMAL(18,4)', Number.NaN],
    ['DATE', '2023-02-29'],
    ['DATE', '2023-04-31'],
    ['DATE', '0000-01-01'],
    ['DATE', '2023-1-1'],
    ['DATE', '2023-01-01T00:00:00Z'],
    ['TIMESTAMP', '2013-01-31'],
    ['TIMESTAMP', '2013-01-31T09:00:00'],
    ['TIMESTAMP', '2013-02-30T09:00:00Z'],
    ['TIMESTAMP', '2013-01-31T24:00:00Z'],
    ['TIMESTAMP', '2013-01-31T09:00:60Z'],
    ['TIMESTAMP', '2013-01-31T09:00:00.1234567Z'],
    ['TIMESTAMP', '2013-01-31T09:00:00+24:00'],
    ['TIMESTAMP', '0001-01-01T00:00:00+00:30'],
    ['TIMESTAMP', '9999-12-31T23:59:59-00:01'],
    ['BOOLEAN', null],
    ['DOUBLE', undefined],
  ])('%s refuses %s', (type, value) => {
    expect(() => coerce(type, value)).toThrow(BadValue)
  })

  test('the message shows the value, cut where it is long, and what would be right', () => {
    expect(() => coerce('DECIMAL(18,4)', '1.00001')).toThrow(
      '"1.00001" is no DECIMAL(18,4); give a decimal with at most 14 digits before the point and 4 after it',
    )
    expect(() => coerce('DATE', 'x\n'.repeat(1000))).toThrow(/^.{1,250}$/)
    expect(() => coerce('BIGINT', 10n ** 5000n)).toThrow(/^.{1,250}$/)
    expect(() => coerce('INTEGER', { toString: null })).toThrow('an object is no INTEGER')
  })

  test('whatever is taken is canonical: taken again it is the same, and JSON keeps it', () => {
    fc.assert(
      fc.property(fc.constantFrom(...TYPES), anything, (type, value) => {
        let canonical: unknown
        try {
          canonical = coerce(type, value)
        } catch (error) {
          expect(error).toBeInstanceOf(BadValue)
          return
        }
        expect(coerce(type, canonical)).toBe(canonical)
        expect(JSON.parse(JSON.stringify(canonical))).toBe(canonical)
      }),
      { numRuns: 2000 },
    )
  })

  test('a decimal is taken exactly when its digits fit, however it is written', () => {
    const decimal = fc.record({
      coefficient: fc.bigInt({ min: -(10n ** 40n), max: 10n ** 40n }),
      places: fc.integer({ min: 0, max: 40 }),
      shift: fc.integer({ min: -20, max: 20 }),
      zeros: fc.integer({ min: 0, max: 5 }),
      precision: fc.integer({ min: 1, max: 38 }),
      scale: fc.integer({ min: 0, max: 38 }),
    })
    fc.assert(
      fc.property(decimal, ({ coefficient, places, shift, zeros, precision, scale: anyScale }) => {
        const scale = Math.min(anyScale, precision)
        // coefficient / 10^places, written with the point moved by `shift` and an exponent that moves it back
        const text = `${plain(coefficient, Math.max(0, places + shift))}e${Math.max(-places, shift)}`.replace(
          'e',
          `${places + shift > 0 ? '0'.repeat(zeros) : ''}e`,
        )
        const numerator = coefficient * 10n ** BigInt(scale)
        const denominator = 10n ** BigInt(places)
        const fits = numerator % denominator === 0n && abs(numerator / denominator) < 10n ** BigInt(precision)
        if (fits) expect(coerce(`DECIMAL(${precision},${scale})`, text)).toBe(plain(numerator / denominator, scale))
        else expect(() => coerce(`DECIMAL(${precision},${scale})`, text)).toThrow(BadValue)
      }),
      { numRuns: 2000 },
    )
  })

  test('a number is the decimal of its shortest text', () => {
    fc.assert(
      fc.property(fc.double({ min: -1e15, max: 1e15, noNaN: true }), number => {
        const [mantissa = '', exponent = '0'] = number.toExponential().split('e')
        const fits = Number(exponent) - (mantissa.split('.')[1]?.length ?? 0) >= -20 || number === 0
        if (fits) expect(Number(coerce('DECIMAL(38,20)', number))).toBe(number + 0)
        else expect(() => coerce('DECIMAL(38,20)', number)).toThrow(BadValue)
      }),
    )
  })

  test('a timestamp is the same instant from every offset', () => {
    const instant = fc.record({
      at: fc.date({
        min: new Date('0001-01-02T00:00:00Z'),
        max: new Date('9999-12-30T00:00:00Z'),
        noInvalidDate: true,
      }),
      offset: fc.integer({ min: -23 * 60 - 59, max: 23 * 60 + 59 }),
      micros: fc.integer({ min: 0, max: 999_999 }),
    })
    fc.assert(
      fc.property(instant, ({ at, offset, micros }) => {
        const local = new Date(Math.floor(at.getTime() / 1000) * 1000 + offset * 60_000).toISOString().slice(0, 19)
        const [hours, minutes] = [Math.floor(Math.abs(offset) / 60), Math.abs(offset) % 60].map(pad2)
        const fraction = String(micros).padStart(6, '0')
        const text = `${local}.${fraction}${offset < 0 ? '-' : '+'}${hours}:${minutes}`
        const second = new Date(Math.floor(at.getTime() / 1000) * 1000).toISOString().slice(0, 19)
        expect(coerce('TIMESTAMP', text)).toBe(`${second}.${fraction}Z`)
      }),
    )
  })

  test('the days of the calendar are those of Date', () => {
    const part = (max: number) => fc.integer({ min: 0, max }).map(pad2)
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 9999 }), part(13), part(32), (year, month, day) => {
        const text = `${String(year).padStart(4, '0')}-${month}-${day}`
        const moved = new Date(0)
        moved.setUTCFullYear(year, Number(month) - 1, Number(day))
        const exists = moved.getUTCMonth() === Number(month) - 1 && moved.getUTCDate() === Number(day)
        if (exists) expect(coerce('DATE', text)).toBe(text)
        else expect(() => coerce('DATE', text)).toThrow(BadValue)
      }),
    )
  })
})

describe('coerceOperand', () => {
  test('keeps the digits that a column of the type could not hold', () => {
    expect(coerceOperand('DECIMAL(18,4)', '1.23456')).toBe('1.23456')
    expect(coerceOperand('DECIMAL(18,4)', 1.5)).toBe('1.5000')
    expect(coerceOperand('DECIMAL(18,4)', '1e33')).toBe(`1${'0'.repeat(33)}.0000`)
  })

  test('stays within 38 digits, and is as strict as coerce otherwise', () => {
    expect(() => coerceOperand('DECIMAL(18,4)', '1e34')).toThrow('too many digits')
    expect(() => coerceOperand('DECIMAL(18,4)', '1e-39')).toThrow('too many digits')
    expect(() => coerceOperand('DECIMAL(18,4)', 'much')).toThrow(BadValue)
    expect(() => coerceOperand('INTEGER', 1.5)).toThrow(BadValue)
  })
})

test('compareUtf8 orders as the bytes do', () => {
  const text = fc.string({ unit: fc.oneof(fc.constantFrom('a', 'é', '\ue000', '\uffff', '\u{10000}', '🧪')) })
  fc.assert(
    fc.property(fc.oneof(text, fc.string({ unit: 'binary' })), text, (a, b) => {
      expect(Math.sign(compareUtf8(a, b))).toBe(Buffer.compare(Buffer.from(a), Buffer.from(b)))
    }),
    { numRuns: 1000 },
  )
})

const abs = (value: bigint): bigint => (value < 0n ? -value : value)
const pad2 = (value: number): string => String(value).padStart(2, '0')

/** coefficient / 10^places as plain text. */
function plain(coefficient: bigint, places: number): string {
  const digits = String(abs(coefficient)).padStart(places + 1, '0')
  const point = digits.length - places
  return `${coefficient < 0n ? '-' : ''}${digits.slice(0, point)}${places > 0 ? `.${digits.slice(point)}` : ''}`
}
