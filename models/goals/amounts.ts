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

/** SQL: the ten-thousandths, or cents, of a decimal expression. */
export const toTenThousandths = (decimal: string): string => wholeUnits(decimal, 4)
export const toCents = (decimal: string): string => wholeUnits(decimal, 2)

/**
 * Taken apart at the point where there are no more than 18 digits, as of all amounts that are not refused: wider decimals are
 * HUGEINT inside, which DuckDB divides some fifty times as slowly as BIGINT. Widened else: a product has no more digits
 * than its factors.
 */
function wholeUnits(decimal: string, places: number): string {
  const power = 10 ** places
  const small = `TRY_CAST(${decimal} AS DECIMAL(18,${places}))`
  const fraction = `(${small} - trunc(${small}))::DECIMAL(${places + 1},${places})`
  return `CASE WHEN ${small} IS NULL THEN (${decimal}::DECIMAL(38,${places}) * ${power})::HUGEINT
    ELSE (trunc(${small})::BIGINT * ${power} + (${fraction} * ${power})::BIGINT)::HUGEINT END`
}

/** SQL: the way back. Multiplied and not divided, since DuckDB divides decimals as doubles. */
export const fromTenThousandths = (whole: string): string => `(${whole}::DECIMAL(18,0) * 0.0001)::DECIMAL(18,4)`
export const fromCents = (whole: string): string => `(${whole}::DECIMAL(18,0) * 0.01)::DECIMAL(18,2)`

/** SQL: numerator / denominator (above 0), rounded half away from zero. HUGEINT's `//` cuts off towards zero. */
export const rounded = (numerator: string, denominator: string | bigint): string =>
  `((2 * ${numerator} + sign(${numerator}) * ${denominator}) // (2 * ${denominator}))`

/**
 * SQL: amount × factor / 10^8, rounded half away from zero, of an amount below 10^18 and a factor of at least 0. What 10^8 divides
 * of the amount is multiplied by itself; with a factor below 4 × 10^10 the rest of the product is a BIGINT, and so is divided fast.
 */
export function scaled(amount: string, factor: bigint): string {
  if (factor >= 4n * 10n ** 10n) return rounded(`(${amount} * ${factor})`, 10n ** 8n)
  const size = `abs(${amount})::BIGINT`
  const rest = `(2 * (${size} % 100000000 * ${factor}) + 100000000) // 200000000`
  return `(sign(${amount}) * (${size} // 100000000 * ${factor}::HUGEINT + ${rest}))`
}

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
