import type { Row, Value } from './types.ts'

export type EngineName = 'DUCKDB' | 'ARROW'
export const ENGINE_NAMES: readonly EngineName[] = ['DUCKDB', 'ARROW']

/** Parameters by name, bound and never pasted: `$name` in the text. Lists bind as DuckDB lists. */
export type Parameters = Readonly<Record<string, Value | readonly Value[]>>

/** SQL over a model's tables, for implementations on the DuckDB engine. Values go in and come out in canonical form. */
export interface Sql {
  /** Runs one or more statements. */
  run(text: string, params?: Parameters): Promise<void>
  /** The rows of one SELECT. */
  all(text: string, params?: Parameters): Promise<Row[]>
}

/** A version of another model, open for reading while the function runs. */
export interface ReadModel {
  /** The argument that named it, or `source`, `source_2` … for a function with `runsOn`; `.sql` files say `FROM alias.table`. */
  readonly alias: string
  readonly model: string
  readonly kind: string
  readonly version: number
  /** The quoted name of one of its tables, to be put into SQL text: `FROM ${sales.table('sales')}`. */
  table(name: string): string
}

/**
 * What every function may know, whichever engine it is written for. Clock and randomness come from the intent, so that
 * applying it again gives the same rows; whatever else it reads is a version of a model that was written into the ledger
 * before it began.
 */
export interface IntentContext<A = Readonly<Record<string, unknown>>> {
  readonly args: A
  readonly intentId: string
  /** The function's own name. */
  readonly name: string
  /** The intent's submittedAt, canonical TIMESTAMP. */
  readonly now: string
  /** Uniform in [0, 1), seeded by the intent's id. */
  random(): number
  /** Aborted when nobody waits any more, or the function's time is over. */
  readonly signal: AbortSignal
}

/** All that a function on DuckDB may know; the one on Arrow is in frames.ts. */
export interface FunctionContext<A = Readonly<Record<string, unknown>>> extends IntentContext<A> {
  /**
   * Nothing of what it writes is left where the function fails. Steps in TEMP tables are best made before it writes, and dropped there,
   * as `DROP TABLE temp.name`: DuckDB reads them faster than those of a transaction under way, and holds what that drops until its end.
   * The time is the context's `now`: DuckDB's own goes on from statement to statement there.
   */
  readonly sql: Sql
  /** The models it may read: those that its arguments name, and for a function with `runsOn` all reads of that kind. */
  readonly reads: readonly ReadModel[]
  /** The filter of a `where` argument as SQL over the table, with its parameters: `WHERE ${filter.text}`. */
  where(table: string, filter: unknown): { text: string; params: Parameters }
  /**
   * Sets columns, each to its SQL over the row as it was, in the rows that the SQL of `where` selects, and says in how many. Does
   * what an UPDATE does; but few rows are put in anew, where that would change them in place, for which all of the column around
   * them is written once more, and read again by whoever opens the version.
   */
  update(
    table: string,
    change: { set: Readonly<Record<string, string>>; where: string; params?: Parameters },
  ): Promise<number>
  /** One step of the algorithm: a span, a progress mark, and a place where an abort is noticed. */
  step<T>(name: string, fn: () => Promise<T>): Promise<T>
}

/** What a query function on DuckDB may know: its arguments, the snapshot, and the versions of other models that its arguments name. */
export interface QueryContext<A = Readonly<Record<string, unknown>>> {
  readonly args: A
  readonly sql: Pick<Sql, 'all'>
  /** In the order of the arguments. */
  readonly reads: readonly ReadModel[]
  /** The quoted name of a table of the snapshot. */
  table(name: string): string
}
