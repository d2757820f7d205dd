import type { EngineName, FunctionContext, QueryContext } from './context.ts'
import type { FrameFunctionContext, FrameQueryContext, LazyDataFrame } from './frames.ts'
import type { LogicalType, Value } from './types.ts'

/** What a kind's author writes. `defineKind` checks it and makes a `Kind` of it (kind.ts). */
export interface KindDefinition {
  /** Lower-case letters and digits, a letter first: `sales`. Gives `SalesModel`, `SalesSnapshot` and `salesModel`. */
  name: string
  description: string
  /** Goes before the names of the generated types and mutations; the kind's name where left out, and may be empty. */
  prefix?: string
  engines: readonly EngineName[]
  tables: Readonly<Record<string, TableSpec>>
  functions?: Readonly<Record<string, FunctionSpec>>
  queries?: Readonly<Record<string, QuerySpec>>
}

/** `VARCHAR`, or `VARCHAR?` where it may be null. */
export type ColumnType = LogicalType | `${LogicalType}?`
export type ColumnSpec = ColumnType | { type: ColumnType; description?: string }

export type WayOfWriting = 'append' | 'upsert' | 'update' | 'delete' | 'import'
export const WAYS_OF_WRITING: readonly WayOfWriting[] = ['append', 'upsert', 'update', 'delete', 'import']

export interface TableSpec {
  /** The name of one row, `Sale`: the GraphQL type's name, and with a small first letter the field that reads one row. */
  row: string
  description: string
  columns: Readonly<Record<string, ColumnSpec>>
  /** Column names; nulls are equal in a key. */
  key: readonly string[]
  references?: readonly ReferenceSpec[]
  /** What clients may do to it; empty: written by functions alone. */
  writes: readonly WayOfWriting[]
}

/** `columns`, in the order of `table`'s key, lead to a row of `table`; not enforced. `as` is the field on the row. */
export interface ReferenceSpec {
  columns: readonly string[]
  table: string
  as: string
  description?: string
}

/** An argument, or a field of an input object. Made with `arg` (arguments.ts). `T` is the type of its value in code. */
export interface Argument<T = unknown> {
  type: ArgumentType
  nullable: boolean
  /** In canonical form; taken where the argument is left out or null. */
  default?: unknown
  description?: string
  /** Only for the compiler: carries T. */
  readonly valueType?: T
}
export type ArgumentType =
  | { is: 'scalar'; type: LogicalType }
  | { is: 'enum'; name: string; description: string; values: Readonly<Record<string, string>> }
  | { is: 'object'; name: string; description: string; fields: Arguments }
  | { is: 'list'; of: Argument }
  /** A filter on a table of this kind. */
  | { is: 'where'; table: string }
  /** The id of a model of kind `of`, among this model's reads; `version` names the argument that chooses the version. */
  | { is: 'model'; of: string; version?: string }

export type Arguments = Readonly<Record<string, Argument>>
export type ArgumentValues<A extends Arguments> = {
  readonly [K in keyof A]: A[K] extends Argument<infer T> ? T : never
}

/** A typed object that a function answers with, or a row of a query function. */
export interface ResultSpec {
  /** GraphQL type name, before which the prefix goes. */
  name: string
  description: string
  columns: Readonly<Record<string, ColumnSpec>>
}

/** Changes the model's tables; an intent. */
export interface FunctionSpec<A extends Arguments = Arguments> {
  description: string
  arguments: A
  result: ResultSpec
  /** Codes of its own, with when each is given. */
  errors?: Readonly<Record<string, string>>
  /** Default 900 seconds. */
  timeoutSeconds?: number
  /** The kind of model whose new version starts it in the models that read it. Such a function needs no arguments. */
  runsOn?: string
  /** Refuses (TeatreeError BAD_VALUE) what the arguments alone show to be wrong. */
  check?: (args: ArgumentValues<A>) => void
  engines: FunctionImplementations<A>
}

/** For each engine by what it gives a function: SQL, or frames. Where there are several, they leave the same rows. */
export interface FunctionImplementations<A extends Arguments = Arguments> {
  readonly DUCKDB?: FunctionImplementation<A>
  readonly ARROW?: (context: FrameFunctionContext<ArgumentValues<A>>) => Promise<Record<string, Value>>
}

/**
 * TypeScript, or one `.sql` file: statements of which the last is a SELECT of one row that is the result. Bound in it
 * are the arguments by name (`$growth`), the fields of an object as `$basisPeriod_from`, null where it is, a list of
 * plain values as a list of VARCHAR, lists of objects as JSON text; and of the intent `$intentId` and `$now`, where no
 * argument is called so. What is not VARCHAR, INTEGER, DOUBLE or BOOLEAN comes as text, to be cast. The models it reads
 * are `FROM alias.table`. It commits and attaches nothing, and may leave no two rows with the same key.
 */
export type FunctionImplementation<A extends Arguments = Arguments> =
  | ((context: FunctionContext<ArgumentValues<A>>) => Promise<Record<string, Value>>)
  | { sql: URL }

/** Reads the snapshot, and the versions of other models that its arguments name, and becomes a field of it: a connection of rows. */
export interface QuerySpec<A extends Arguments = Arguments> {
  description: string
  arguments: A
  row: ResultSpec
  /** Further fields of the connection, the same over all pages: `salesVersion`. */
  page?: Readonly<Record<string, ColumnSpec>>
  errors?: Readonly<Record<string, string>>
  timeoutSeconds?: number
  check?: (args: ArgumentValues<A>) => void
  engines: QueryImplementations<A>
}

/** For each engine; where there are several, they give the same rows. */
export interface QueryImplementations<A extends Arguments = Arguments> {
  readonly DUCKDB?: QueryImplementation<A>
  readonly ARROW?: (context: FrameQueryContext<ArgumentValues<A>>) => Promise<FrameAnswer>
}

/**
 * Answers with one SELECT and its named parameters: the platform counts and pages it, in the order it asks for
 * (`orderBy`: names of row columns, which together tell every row apart).
 */
export type QueryImplementation<A extends Arguments = Arguments> =
  | ((context: QueryContext<ArgumentValues<A>>) => Promise<QueryAnswer>)
  | { sql: URL; orderBy: readonly string[] }

export interface QueryAnswer {
  select: string
  params: Readonly<Record<string, Value | readonly Value[]>>
  orderBy: readonly string[]
  page?: Readonly<Record<string, Value>>
}

/** The same of a query on Arrow: a frame with the row's columns, which nothing has computed yet. */
export interface FrameAnswer {
  frame: LazyDataFrame
  orderBy: readonly string[]
  page?: Readonly<Record<string, Value>>
}
