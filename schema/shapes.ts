import type { FileDescription, SnapshotReader } from '../src/engine/engine.ts'
import type { Intent, Model, QueryRun, Version } from '../src/jobs/records.ts'
import type { Upload } from '../src/jobs/uploads.ts'
import type { EngineName } from '../src/kinds/context.ts'
import type { Column, Kind, Table } from '../src/kinds/kind.ts'
import type { Row, Value } from '../src/kinds/types.ts'

/** What resolvers hand to the fields of the schema, where that is not a record of the jobs. */

/** The arguments of a connection, as GraphQL coerced them. */
export interface PageArguments {
  first?: number | null | undefined
  after?: string | null | undefined
  last?: number | null | undefined
  before?: string | null | undefined
}

/** A page that is read when something of it is selected; its arguments have been checked. */
export interface Page<T> {
  read(): Promise<PageContent<T>>
  totalCount(): Promise<number | bigint>
}
export interface PageContent<T> {
  edges: readonly Edge<T>[]
  hasNextPage: boolean
  hasPreviousPage: boolean
}
export interface Edge<T> {
  node: T
  /** Made when it is selected. */
  cursor(): string
}
export interface PageInfo {
  hasNextPage: boolean
  hasPreviousPage: boolean
  startCursor: string | null
  endCursor: string | null
}

/** A version of a model, opened when something of its tables is selected and held until the operation has ended. */
export interface SnapshotSource {
  readonly model: Model
  readonly kind: Kind
  readonly version: Version
  reader(): Promise<SnapshotReader>
}
/** Exactly one of them. */
export interface SnapshotAtInput {
  version?: number | null | undefined
  intent?: string | null | undefined
  atLeast?: number | null | undefined
  asOf?: string | null | undefined
}

/** What refers to rows by its values. */
export interface Referring {
  readonly values: Row
  /** The rows that it refers to, by the references' names, where they have been read for its whole page. */
  references?: ReadonlyMap<string, RowSource | null>
}

/** A row, with the columns that were selected. */
export interface RowSource extends Referring {
  readonly snapshot: SnapshotSource
  readonly table: Table
}

/** A group of an aggregate, with the measures that were selected. */
export interface GroupSource extends Referring {
  readonly snapshot: SnapshotSource
  readonly table: Table
  /** The values grouped by, by column; of a bucketed date, the first day of its bucket. */
  readonly values: Row
  /** The references all of whose columns are grouped by as they are. */
  readonly whole: ReadonlySet<string>
  readonly measures: GroupMeasures
}
/** By measure, then by column. */
export type GroupMeasures = { readonly count: Value } & Readonly<Record<ColumnMeasure, Row>>
export type ColumnMeasure = 'sum' | 'avg' | 'min' | 'max' | 'countDistinct'

export interface DiffSource {
  readonly change: 'ADDED' | 'REMOVED' | 'CHANGED'
  readonly before: RowSource | null
  readonly after: RowSource | null
}

/** A page of a query function; `page` holds the fields that are the same over all pages. */
export interface QueryPage extends Page<RowSource['values']> {
  page(): Promise<Row>
}

/** What a function returned, with the name of its GraphQL type. */
export interface Outcome {
  readonly type: string
  readonly values: Readonly<Record<string, Value>>
}

export interface ColumnDefinition {
  name: string
  type: string
  nullable: boolean
  description?: string | undefined
}
export interface TableDefinition {
  name: string
  description: string
  columns: readonly ColumnDefinition[]
  key: readonly string[]
  /** Names of mutations. */
  writes: readonly string[]
}
export interface FunctionDefinition {
  name: string
  description: string
  engines: readonly EngineName[]
  writes: boolean
  runsOn: string | null
}
export interface TableState {
  name: string
  rows: number
  columns: readonly Column[]
  snapshot: SnapshotSource
}
export interface UploadSource extends Upload {
  /** Reads the file when it is first asked. */
  description(): Promise<FileDescription>
}
export interface SqlResult {
  columns: readonly ColumnDefinition[]
  rows: readonly (readonly unknown[])[]
  pageInfo: PageInfo
}

/** What a subscription is told. */
export interface SharedEvent {
  /** The same for events that hold the same: what is asked of one is asked of all of them. */
  key: string
}
/** One value of the completions subscription. */
export interface CompletionEvent extends SharedEvent {
  model: string
  edges: readonly Edge<Intent | QueryRun>[]
  cursor: string
  hasNextPage: boolean
  hasPreviousPage: boolean
  reset: boolean
  /** The newest version as the page was made. */
  version: number
}
/** One value of the subscription to an intent; `traceparent` is the intent's. */
export type IntentEvent = SharedEvent & ({ intent: Intent; traceparent: string } | { intent: null })
/** One value of the subscription to the state of models. */
export interface ModelsEvent extends SharedEvent {
  models: readonly Model[]
}
