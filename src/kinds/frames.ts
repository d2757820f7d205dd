import type pl from 'nodejs-polars'
import type { DataFrame, LazyDataFrame } from 'nodejs-polars'
import type { IntentContext, ReadModel } from './context.ts'
import type { LogicalType, Row } from './types.ts'

/*
 * What functions on Arrow get: frames of Polars, which compute nothing until their rows are asked for. Of Polars there are
 * its types alone here; the library itself comes with the context. Columns of tables have Polars' types:
 *
 *   VARCHAR Utf8   INTEGER Int32   BIGINT Int64   DECIMAL(p,s) Decimal(p, s)   DOUBLE Float64
 *   BOOLEAN Bool   DATE Date       TIMESTAMP Datetime('us')
 */
export type { DataFrame, Expr, LazyDataFrame } from 'nodejs-polars'

/** The library, as a kind is given it: `pl.col('amount').sum()`. */
export type Polars = typeof pl

/** What frames are made of and read by, in functions and queries alike. */
export interface FrameTools {
  readonly pl: Polars
  /** Rows in canonical form as a frame of the columns; what a row leaves out is null. */
  frame(columns: Readonly<Record<string, LogicalType>>, rows: readonly Row[]): LazyDataFrame
  /**
   * Computes the frame. Its rows come in canonical form, by the types that its columns have: whole numbers of 64 bits and
   * decimals as text.
   */
  rows(frame: LazyDataFrame): Promise<Row[]>
}

/** A version of another model, whichever engine it is on. */
export interface ReadFrames extends Pick<ReadModel, 'alias' | 'model' | 'kind' | 'version'> {
  /** Those columns of one of its tables. Nothing but them is read. */
  table(name: string, columns: readonly string[]): Promise<LazyDataFrame>
}

/** What goes into a step, or comes out of it, and has rows to be counted. */
export type Rows = LazyDataFrame | DataFrame | readonly unknown[]

/** All that a function on Arrow may know. What it writes it finds in `table` at once; where it fails nothing of it is left. */
export interface FrameFunctionContext<A = Readonly<Record<string, unknown>>> extends IntentContext<A>, FrameTools {
  /** A table of the model as it is by now. The frame stays what it is, whatever is written after. */
  table(name: string): LazyDataFrame
  /** The models it may read: those that its arguments name, and for a function with `runsOn` all reads of that kind. */
  readonly reads: readonly ReadFrames[]
  /** What it may take of memory, in bytes. Nobody holds it to that: Polars does not spill, and what needs more is made in parts. */
  readonly memoryBytes: number
  /** The rows of a table, as it is by now, that a `where` argument selects. */
  where(table: string, filter: unknown): LazyDataFrame
  /**
   * Adds the frame's rows. Its columns are the table's and of their types; what it leaves out is null. A key that is there,
   * or twice in it, is a fault of the function.
   */
  append(table: string, frame: LazyDataFrame): Promise<void>
  /** Writes the frame's rows whole, in the place of those that have their keys; of a key that is there twice the last wins. */
  upsert(table: string, frame: LazyDataFrame): Promise<void>
  /** Puts the frame's rows in the place of all. */
  replace(table: string, frame: LazyDataFrame): Promise<void>
  /** Removes the rows that have the keys of the frame's, which may have other columns too. */
  remove(table: string, frame: LazyDataFrame): Promise<void>
  /**
   * One step of the algorithm: a span, a progress mark, and a place where an abort is noticed. A lazy frame that comes out of
   * it has been computed; the span says how many rows went in, of what is given to `fn`, and came out.
   */
  step<T, const F extends readonly Rows[]>(name: string, fn: (...given: F) => T | Promise<T>, ...given: F): Promise<T>
}

/** What a query function on Arrow may know: its arguments, the snapshot, and the versions that its arguments name. */
export interface FrameQueryContext<A = Readonly<Record<string, unknown>>> extends FrameTools {
  readonly args: A
  /** In the order of the arguments. */
  readonly reads: readonly ReadFrames[]
  /** Those columns of a table of the snapshot. Nothing but them is read. */
  table(name: string, columns: readonly string[]): Promise<LazyDataFrame>
}
