/*
 * Amounts as whole numbers of JavaScript, which have no limit: ten-thousandths of sales, cents of goals. Sums over sales are
 * Polars'; of the cells, which are few beside them, what is more than a sum is computed here, in BigInt.
 */

/** Whole units as a decimal: `decimal(-5n, 2)` is "-0.05". */
export function decimal(units: bigint, places: number): string {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`
}

/** numerator / denominator (above 0), rounded half away from zero. BigInt's division cuts off towards zero. */
export const rounded = (numerator: bigint, denominator: bigint): bigint =>
  (2n * numerator + (numerator < 0n ? -denominator : denominator)) / (2n * denominator)

export const sum = (values: readonly bigint[]): bigint => values.reduce((total, value) => total + value, 0n)

/** The largest of the amounts, whatever their sign. */
export const largest = (values: readonly bigint[]): bigint =>
  values.reduce((most, value) => {
    const size = value < 0n ? -value : value
    return size > most ? size : most
  }, 0n)

export const positive = (value: bigint): bigint => (value > 0n ? value : 0n)
