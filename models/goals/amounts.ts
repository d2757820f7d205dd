import { type Parameters, type Sql, TeatreeError } from 'teatree'

/*
 * The goals are computed on whole numbers, so that nothing is ever rounded but where the rules say so. Amounts of sales
 * become ten-thousandths, goals cents, both as HUGEINT: 128 bits, up to 1.7 × 10^38. What a DECIMAL(18, …) can hold
 * is below 10^18 of either, and every intermediate result is kept below the limit by a bound said where it is made.
 */

/** What no amount may reach: in ten-thousandths for DECIMAL(18,4), in cents for DECIMAL(18,2). */
const LIMIT = 10n ** 18n

/** A decimal as whole units of its last place: `units('12.5', 4)` is 125000. */
export function units(decimal: string, places: number): bigint {
  const [whole = '', fraction = ''] = decimal.split('.')
  return BigInt(whole + fraction.padEnd(places, '0'))
}

/** SQL: the ten-thousandths, or cents, of a decimal expression. Widened first: a product has no more digits than its factors. */
export const toTenThousandths = (decimal: string): string => `(${decimal}::DECIMAL(38,4) * 10000)::HUGEINT`
export const toCents = (decimal: string): string => `(${decimal}::DECIMAL(38,2) * 100)::HUGEINT`

/** SQL: the way back. Multiplied and not divided, since DuckDB divides decimals as doubles. */
export const fromTenThousandths = (whole: string): string => `(${whole}::DECIMAL(18,0) * 0.0001)::DECIMAL(18,4)`
export const fromCents = (whole: string): string => `(${whole}::DECIMAL(18,0) * 0.01)::DECIMAL(18,2)`

/** SQL: numerator / denominator (above 0), rounded half away from zero. HUGEINT's `//` cuts off towards zero. */
export const rounded = (numerator: string, denominator: string | bigint): string =>
  `((2 * ${numerator} + sign(${numerator}) * ${denominator}) // (2 * ${denominator}))`

/**
 * Refuses what the columns of sales and goals cannot hold, before a cast trips over it.
 * @param select a SELECT of one HUGEINT of ten-thousandths or cents, the largest there is, or null
 * @throws TeatreeError BAD_VALUE
 */
export async function refuseTooLarge(sql: Sql, select: string, params: Parameters = {}): Promise<void> {
  refuseLarge(await wholeNumber(sql, select, params))
}

/** The same of one such amount. @throws TeatreeError BAD_VALUE */
export function refuseLarge(largest: bigint): void {
  if (largest < LIMIT && largest > -LIMIT) return
  throw new TeatreeError('BAD_VALUE', 'an amount comes to more than 18 digits; look at the sales, growth and total')
}

/** The one whole number that a SELECT gives; 0 for null. */
export async function wholeNumber(sql: Sql, select: string, params: Parameters = {}): Promise<bigint> {
  const [row] = await sql.all(select, params)
  return BigInt(String(Object.values(row ?? {})[0] ?? 0))
}
