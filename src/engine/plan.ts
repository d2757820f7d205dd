import type { Value } from '../kinds/types.ts'

/**
 * A query as data. Each engine compiles it to its own terms; column and table names in it have been looked up in the
 * kind, values are canonical and are only ever bound.
 */
export type Filter =
  | { is: 'and'; of: readonly Filter[] }
  | { is: 'or'; of: readonly Filter[] }
  | { is: 'not'; of: Filter }
  | { is: 'compare'; column: string; op: CompareOperator; value: Exclude<Value, null> }
  | { is: 'in'; column: string; values: readonly Exclude<Value, null>[]; negated: boolean }
  | { is: 'null'; column: string; negated: boolean }
  /** Rows whose reference `as` leads to a row that `of` selects. */
  | { is: 'through'; as: string; of: Filter }

/** `like` and `ilike` take % and _ ; a backslash escapes. */
export type CompareOperator = 'eq' | 'neq' | 'gt' | 'gte' | 'lt' | 'lte' | 'like' | 'ilike'

/** Every row: the `and` of nothing. */
export const ALL: Filter = { is: 'and', of: [] }

export type Direction = 'ASC' | 'DESC'
export type Nulls = 'FIRST' | 'LAST'
export interface Order {
  column: string
  direction: Direction
  nulls: Nulls
}

/** A page of rows. `orderBy` has been completed with the key; `after` and `before` hold a value for each of its columns. */
export interface RowsPlan {
  table: string
  columns: readonly string[]
  where: Filter
  orderBy: readonly Order[]
  after?: readonly Value[]
  before?: readonly Value[]
  /** At most this many rows, from the start, or with `last` from the end (still answered in order). */
  limit: number
  last?: boolean
}

/** Rows of a table, with all of its columns and all of them where nothing is said. */
export interface TablePlan {
  table: string
  columns?: readonly string[]
  where?: Filter
}

export type Bucket = 'DAY' | 'WEEK' | 'MONTH' | 'QUARTER' | 'YEAR'
export interface Group {
  column: string
  bucket?: Bucket
}

export type Measure = { is: 'count' } | { is: 'sum' | 'avg' | 'min' | 'max' | 'countDistinct'; column: string }

/** An order of groups: by a measure, or by one of the groups (its index). */
export type AggregateOrder = { by: Measure | { is: 'group'; index: number }; direction: Direction; nulls: Nulls }
export interface Having {
  measure: Measure
  /** Only comparisons; `column` in it is not used. */
  filter: Filter
}

/** Groups and their measures. `orderBy` has been completed with every group, so that it tells all groups apart. */
export interface AggregatePlan {
  table: string
  where: Filter
  groups: readonly Group[]
  measures: readonly Measure[]
  having: readonly Having[]
  orderBy: readonly AggregateOrder[]
  after?: readonly Value[]
  limit: number
}

/** A group of an aggregate: its values in the order of `groups`, its measures in the order of `measures`, the values of `orderBy`. */
export interface AggregateRow {
  groups: readonly Value[]
  measures: readonly Value[]
  position: readonly Value[]
}

/**
 * A page of what changed in a table from an older version to a newer one, by key, ascending, nulls last. A change is
 * shown where `where` selects the row as it was or as it is. `after` holds a value for each column of the key.
 */
export interface DiffPlan {
  table: string
  columns: readonly string[]
  where: Filter
  after?: readonly Value[]
  limit: number
}
