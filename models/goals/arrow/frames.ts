import type { Expr, Polars } from 'teatree'
import { DIMENSIONS } from '../dimensions.ts'
import type { Period } from '../intervals.ts'

export const DIMENSION_COLUMNS = Object.values(DIMENSIONS)

/** A day as Polars compares it with a date. */
const day = (pl: Polars, date: string): Expr =>
  pl
    .lit(Date.parse(`${date}T00:00:00Z`) / 86_400_000)
    .cast(pl.Int32)
    .cast(pl.Date)

/** Whether the date lies in the period. */
export const within = (pl: Polars, column: string, { from, to }: Period): Expr =>
  pl
    .col(column)
    .gtEq(day(pl, from))
    .and(pl.col(column).lt(day(pl, to)))

/** Joins by the dimensions, of which nulls are equal. */
export const byDimensions = <How extends 'inner' | 'anti'>(how: How) => ({
  on: [...DIMENSION_COLUMNS],
  how,
  nullsEqual: true,
})

/** What tells cells apart, in the order in which ties are settled. */
export const CELL_KEY = ['period', ...DIMENSION_COLUMNS]
