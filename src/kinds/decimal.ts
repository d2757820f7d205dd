/**
 * A decimal number as its significant digits: digits × 10^exponent, without a zero at either end; zero has no digits.
 * Text and no arithmetic, so that an exponent of a million costs nothing until somebody asks whether it fits.
 */
export interface Decimal {
  negative: boolean
  digits: string
  exponent: number
}

/** No decimal of 38 digits is written in more characters, unless somebody pads it with zeros to do harm. */
const MAX_TEXT = 400

/** The number that a text writes (`12.50`, `-0`, `1e3`), or null where it writes none. */
export function readDecimal(text: string): Decimal | null {
  if (text.length > MAX_TEXT) return null
  const match = /^([+-]?)(\d+)(?:\.(\d+))?(?:[eE]([+-]?\d+))?$/.exec(text)
  if (!match) return null
  const [, sign, whole = '', fraction = '', power = '0'] = match
  const written = whole + fraction
  const digits = written.replace(/^0+/, '').replace(/0+$/, '')
  if (digits === '') return { negative: false, digits, exponent: 0 }
  const trailing = written.length - written.replace(/0+$/, '').length
  return { negative: sign === '-', digits, exponent: Number(power) - fraction.length + trailing }
}

/** How many digits it needs before the point (0 for 0.5) and after it. */
export function decimalPlaces({ digits, exponent }: Decimal): { before: number; after: number } {
  return digits === ''
    ? { before: 0, after: 0 }
    : { before: Math.max(0, digits.length + exponent), after: Math.max(0, -exponent) }
}

/** Plain text with `scale` places, which must be at least the places that it needs. */
export function writeDecimal({ negative, digits, exponent }: Decimal, scale: number): string {
  const scaled = digits === '' ? '' : digits + '0'.repeat(exponent + scale)
  const padded = scaled.padStart(scale + 1, '0')
  const point = padded.length - scale
  return `${negative ? '-' : ''}${padded.slice(0, point)}${scale > 0 ? `.${padded.slice(point)}` : ''}`
}
