import type { Expr, LazyDataFrame, Polars, Row } from 'teatree'
import { DIMENSIONS } from '../dimensions.ts'
import type { Period } from '../intervals.ts'

export const DIMENSION_COLUMNS = Object.values(DIMENSIONS)

/** The columns of goals, for frames of their rows. */
export const GOAL_COLUMNS = {
  period: 'DATE',
  siteId: 'VARCHAR',
  productId: 'VARCHAR',
  customerId: 'VARCHAR',
  salespersonId: 'VARCHAR',
  basisAmount: 'DECIMAL(18,4)',
  goalAmount: 'DECIMAL(18,2)',
  locked: 'BOOLEAN',
} as const

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

/** In the order in which ties are settled: Polars compares strings by their UTF-8 bytes. */
export const inOrder = (pl: Polars, frame: LazyDataFrame, first: string): LazyDataFrame =>
  frame.sort(
    [first, ...DIMENSION_COLUMNS].map(name => pl.col(name)),
    false,
    false,
  )

/** What of a row tells its combination of dimensions from others. */
export const combinationOf = (row: Row): string => JSON.stringify(DIMENSION_COLUMNS.map(name => row[name] ?? null))

/** The dimensions alone. */
export const dimensionsOf = (row: Row): Row =>
  Object.fromEntries(DIMENSION_COLUMNS.map(name => [name, row[name] ?? null]))
