import type { Expr, FrameTools, LazyDataFrame, Polars } from 'teatree'
import { units } from '../amounts.ts'

/*
 * Amounts as whole numbers, ten-thousandths of sales and cents of goals, within the bounds that amounts.ts beside this folder
 * tells. Polars' whole numbers have 64 bits: they are decimals of 38 digits without places here, which are computed exactly.
 */

/** A number as one of a column. */
export const whole = (pl: Polars, value: bigint | number): Expr => pl.lit(String(value)).cast(pl.Decimal(38, 0))

const one = (pl: Polars, text: string, places: number): Expr => pl.lit(text).cast(pl.Decimal(38, places))

/** A decimal as whole units of its last place. Widened first: a product has no more digits than its factors. */
export const toUnits = (pl: Polars, decimal: Expr, places: number): Expr =>
  decimal
    .cast(pl.Decimal(38, places))
    .mul(one(pl, `1${'0'.repeat(places)}`, places))
    .cast(pl.Decimal(38, 0))

/** The way back. Multiplied and not divided: a quotient is rounded half to even. */
export const fromUnits = (pl: Polars, amount: Expr, places: number): Expr =>
  shifted(pl, amount, places).cast(pl.Decimal(18, places))

/** amount / 10^places as a decimal with so many places, which has the digits of the amount. */
const shifted = (pl: Polars, amount: Expr, places: number): Expr =>
  amount.mul(one(pl, `0.${'1'.padStart(places, '0')}`, places))

/** amount / divisor, rounded down: of at least 0 by above 0. Polars' own quotient is the nearest. */
export function quotient(pl: Polars, amount: Expr, divisor: bigint): Expr {
  const nearest = amount.div(whole(pl, divisor))
  return pl
    .when(nearest.mul(whole(pl, divisor)).gt(amount))
    .then(nearest.sub(whole(pl, 1)))
    .otherwise(nearest)
}

/** numerator / denominator (above 0), rounded half away from zero. Polars' own quotient is the nearest, of two the even one. */
export function rounded(pl: Polars, numerator: Expr, denominator: bigint): Expr {
  if (denominator === 1n) return numerator
  const nearest = numerator.div(whole(pl, denominator))
  if (denominator % 2n === 1n) return nearest
  const rest = numerator.sub(nearest.mul(whole(pl, denominator)))
  const [half, nothing] = [denominator / 2n, whole(pl, 0)]
  const away = pl
    .when(rest.eq(whole(pl, half)).and(numerator.gt(nothing)))
    .then(whole(pl, 1))
    .when(rest.eq(whole(pl, -half)).and(numerator.lt(nothing)))
    .then(whole(pl, -1))
    .otherwise(nothing)
  return nearest.add(away)
}

/** amount × factor / 10^places, rounded half away from zero: what divides by a power of ten is the decimal point. */
export const scaled = (pl: Polars, amount: Expr, factor: bigint, places: number): Expr =>
  shifted(pl, amount.mul(whole(pl, factor)), places)
    .round(0, 'halfawayfromzero')
    .cast(pl.Decimal(38, 0))

export const positive = (pl: Polars, amount: Expr): Expr =>
  pl
    .when(amount.gt(whole(pl, 0)))
    .then(amount)
    .otherwise(whole(pl, 0))

/** What a frame comes to in one number of whole units; 0 where there is none. `measure` is of decimals with so many places. */
export async function unitsIn(
  { rows }: FrameTools,
  frame: LazyDataFrame,
  measure: Expr,
  places: number,
): Promise<bigint> {
  const [row] = await rows(frame.select(measure.alias('measure')))
  return units(String(row?.measure ?? '0'), places)
}

/** The largest of the amounts, whatever their sign. */
export const largest = (tools: FrameTools, frame: LazyDataFrame, column: string, places = 0): Promise<bigint> =>
  unitsIn(tools, frame, tools.pl.col(column).abs().max(), places)

/** Whole units as a decimal: `decimal(-5n, 2)` is "-0.05". */
export function decimal(units: bigint, places: number): string {
  const digits = String(units < 0n ? -units : units).padStart(places + 1, '0')
  return `${units < 0n ? '-' : ''}${digits.slice(0, -places)}.${digits.slice(-places)}`
}
