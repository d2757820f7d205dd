import type { GraphQLResolveInfo } from 'graphql'
import type { IntentFilter } from '../src/jobs/ledger.ts'
import type { ManagerState, ModelChange, ModelFilter, NewModel } from '../src/jobs/models.ts'
import type { Content, ContentForm, Intent, IntentStatus, Model, QueryRun } from '../src/jobs/records.ts'
import type { ReferenceSpec } from '../src/kinds/definition.ts'
import type { Kind, KindQuery, Table } from '../src/kinds/kind.ts'
import type { OperationContext as Context } from '../src/resolvers/context.ts'
import type {
  CompletionEvent,
  DiffSource,
  GroupSource,
  IntentEvent,
  ModelsEvent,
  Outcome,
  Page,
  PageArguments,
  QueryPage,
  RowSource,
  SnapshotAtInput,
  SnapshotSource,
  SqlResult,
  TableState,
  UploadSource,
} from './shapes.ts'

/** What the fields of the schema do: the one thing that src/resolvers gives it. Absent values are null or left out. */
export interface Resolvers {
  models: ModelResolvers
  snapshots: SnapshotResolvers
  content: ContentResolvers
  intents: IntentResolvers
  events: EventResolvers
  queryRuns: QueryRunResolvers
  tables: TableResolvers
}

type Args = Readonly<Record<string, unknown>>
type Maybe<T> = T | null | undefined

export interface ModelResolvers {
  get(id: string, context: Context): Promise<Model | null>
  ofKind(kind: Kind, id: string, context: Context): Promise<Model | null>
  list(args: PageArguments & { where?: Maybe<ModelFilter> }, context: Context): Page<Model>
  kind(model: Model, context: Context): Kind
  reads(model: Model, context: Context): Promise<Model[]>
  manager(model: Model, context: Context): Promise<ManagerState>
  create(input: NewModel, context: Context): Promise<Model>
  update(id: string, input: ModelChange, context: Context): Promise<Model>
  delete(id: string, context: Context): Promise<string>
}

export interface SnapshotResolvers {
  of(
    model: Model,
    args: { at?: Maybe<SnapshotAtInput>; waitMs?: Maybe<number> },
    context: Context,
  ): Promise<SnapshotSource>
  list(model: Model, args: PageArguments, context: Context): Page<SnapshotSource>
  cursor(snapshot: SnapshotSource): string
  labels(snapshot: SnapshotSource, context: Context): Promise<string[]>
  tables(snapshot: SnapshotSource): TableState[]
  tableUrl(table: TableState, format: string, context: Context): string
  pin(args: { model: string; version: number; label: string }, context: Context): Promise<SnapshotSource>
  release(args: { model: string; version: number; label?: Maybe<string> }, context: Context): Promise<SnapshotSource>
}

export interface ContentResolvers {
  index(
    model: Model,
    args: PageArguments & { version?: Maybe<number>; table?: Maybe<string>; form?: Maybe<ContentForm> },
    context: Context,
    info: GraphQLResolveInfo,
  ): Page<Content>
  ofSnapshot(snapshot: SnapshotSource, context: Context, info: GraphQLResolveInfo): Promise<Content[]>
  url(content: Content, context: Context): Promise<string | null>
  upload(id: string, context: Context): Promise<UploadSource | null>
}

/** What every mutation that makes an intent takes besides its arguments. */
export interface SubmitOptions {
  model: string
  idempotencyKey?: Maybe<string>
  waitMs?: Maybe<number>
}
export interface IntentResolvers {
  get(args: { id: string; waitMs?: Maybe<number> }, context: Context): Promise<Intent | null>
  list(where: IntentFilter, args: PageArguments, context: Context, info: GraphQLResolveInfo): Page<Intent>
  ofModel(
    model: Model,
    args: PageArguments & { status?: Maybe<readonly IntentStatus[]> },
    context: Context,
    info: GraphQLResolveInfo,
  ): Page<Intent>
  model(intent: Intent, context: Context): Promise<Model | null>
  snapshot(intent: Intent, context: Context): Promise<SnapshotSource | null>
  outcome(intent: Intent, context: Context): Promise<Outcome | null>
  read(intent: Intent, context: Context): Promise<{ model: string; version: number }[]>
  traceId(intent: Intent): string
  submit(name: string, args: Args, options: SubmitOptions, context: Context): Promise<Intent>
  cancel(id: string, context: Context): Promise<Intent>
  retry(args: { id: string; idempotencyKey?: Maybe<string> }, context: Context): Promise<Intent>
}

export interface EventResolvers {
  completions(
    args: { model: string; after?: Maybe<string>; pageSize?: Maybe<number> },
    context: Context,
  ): Promise<AsyncIterable<CompletionEvent>>
  completionSnapshot(event: CompletionEvent, context: Context): Promise<SnapshotSource | null>
  intent(id: string, context: Context): AsyncIterable<IntentEvent>
  modelChanges(
    args: { ids?: Maybe<readonly string[]>; where?: Maybe<ModelFilter>; minIntervalMs?: Maybe<number> },
    context: Context,
  ): Promise<AsyncIterable<ModelsEvent>>
}

export interface QueryRunResolvers {
  sql(
    snapshot: SnapshotSource,
    args: PageArguments & { statement: string; params?: Maybe<readonly unknown[]> },
    context: Context,
    info: GraphQLResolveInfo,
  ): Promise<SqlResult>
  get(args: { id: string; waitMs?: Maybe<number> }, context: Context): Promise<QueryRun | null>
  start(args: StartQuery, context: Context): Promise<QueryRun>
  cancel(id: string, context: Context): Promise<QueryRun>
  model(run: QueryRun, context: Context): Promise<Model | null>
  /** Null before it is DONE. */
  rows(run: QueryRun, args: PageArguments, context: Context, info: GraphQLResolveInfo): Promise<SqlResult | null>
  content(run: QueryRun, context: Context): Promise<Content[]>
  url(run: QueryRun, format: string, context: Context): string | null
}
export interface StartQuery {
  input: {
    model: string
    at?: Maybe<SnapshotAtInput>
    query: {
      sql?: Maybe<{ statement: string; params?: Maybe<readonly unknown[]> }>
      function?: Maybe<{ name: string; arguments?: unknown }>
    }
  }
  idempotencyKey?: Maybe<string>
}

/** The generated fields of a snapshot. `args` are as the generated types of the table say. */
export interface TableResolvers {
  rows(snapshot: SnapshotSource, table: Table, args: Args, context: Context, info: GraphQLResolveInfo): Page<RowSource>
  row(
    snapshot: SnapshotSource,
    table: Table,
    key: Args,
    context: Context,
    info: GraphQLResolveInfo,
  ): Promise<RowSource | null>
  /** The row that a row, or a group, refers to. */
  reference(
    from: Pick<RowSource, 'snapshot' | 'table' | 'values' | 'references'>,
    reference: ReferenceSpec,
    context: Context,
    info: GraphQLResolveInfo,
  ): RowSource | null | Promise<RowSource | null>
  groups(
    snapshot: SnapshotSource,
    table: Table,
    args: Args,
    context: Context,
    info: GraphQLResolveInfo,
  ): Page<GroupSource>
  diff(
    snapshot: SnapshotSource,
    table: Table,
    args: Args,
    context: Context,
    info: GraphQLResolveInfo,
  ): Promise<Page<DiffSource>>
  query(snapshot: SnapshotSource, query: KindQuery, args: Args, context: Context, info: GraphQLResolveInfo): QueryPage
}
