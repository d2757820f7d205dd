/** Names that a kind cannot take, by the place where they would clash. Keep in step with the schema (schema/). */

/** Fields that every snapshot has. */
export const SNAPSHOT_FIELDS = [
  'id',
  'version',
  'publishedAt',
  'lastSeq',
  'cursor',
  'labels',
  'model',
  'tables',
  'content',
  'sql',
] as const

/**
 * `id`: GraphQL clients cache by it, and a row is not the same row in every version. `and`, `or`, `not` are filters.
 * `true`, `false`, `null` are no GraphQL enum values, which column names become. `rowid` is DuckDB's own.
 */
export const COLUMN_NAMES = [
  ...['id', 'and', 'or', 'not', 'true', 'false', 'null', 'rowid'],
  // The stage that rows of any origin go through has these beside the table's own.
  ...['_row', '_line', '_intent', '_bad'],
] as const

export const ENUM_VALUES = ['true', 'false', 'null'] as const

/** What a query function's field takes, and its connection has, besides what the kind says. */
export const PAGE_ARGUMENTS = ['first', 'after', 'last', 'before'] as const
export const CONNECTION_FIELDS = ['edges', 'nodes', 'pageInfo', 'totalCount'] as const

/** A model argument's name is what the model is attached as, beside these. */
export const ATTACHED_NAMES = ['main', 'temp', 'system', 'memory', 'model', 'information_schema', 'pg_catalog'] as const

/** Names of mutations, and of what an intent can be besides: `copyFrom` begins a scenario. */
export const PLATFORM_MUTATIONS = [
  'createModel',
  'updateModel',
  'deleteModel',
  'pinSnapshot',
  'releaseSnapshot',
  'cancelIntent',
  'retryIntent',
  'startQuery',
  'cancelQuery',
  'copyFrom',
] as const

export const PLATFORM_TYPES = [
  ...['Query', 'Mutation', 'Subscription', 'Node'],
  ...['String', 'Int', 'Float', 'Boolean', 'ID', 'Date', 'DateTime', 'Decimal', 'BigInt', 'JSON'],
  ...['Kind', 'TableDefinition', 'ColumnDefinition', 'FunctionDefinition', 'Engine', 'PodSize'],
  ...['Model', 'ModelWhere', 'ModelConnection', 'ModelEdge', 'ModelVersion', 'CreateModelInput', 'UpdateModelInput'],
  ...['ManagerStatus', 'ManagerState', 'Snapshot', 'SnapshotAt', 'SnapshotRef', 'SnapshotConnection', 'SnapshotEdge'],
  ...['TableState', 'FileFormat', 'SqlResult', 'Content', 'ContentForm', 'ContentConnection', 'ContentEdge'],
  ...['Upload', 'ImportSource', 'ImportUpload', 'ImportSnapshot', 'ImportFormat', 'ImportMode', 'ColumnMapping'],
  ...['Intent', 'IntentWhere', 'IntentStatus', 'IntentOutcome', 'IntentError', 'IntentConnection', 'IntentEdge'],
  ...['RowsWritten', 'CellError', 'QueryRun', 'QueryState', 'StartQueryInput', 'QuerySource', 'SqlQuery'],
  ...['FunctionQuery', 'Completion', 'CompletionPage', 'CompletionEdge', 'PageInfo'],
  ...['OrderDirection', 'NullsOrder', 'Measure', 'DateBucket', 'DiffChange'],
  ...['StringFilter', 'IntFilter', 'BigIntFilter', 'FloatFilter', 'DecimalFilter'],
  ...['DateFilter', 'DateTimeFilter', 'BooleanFilter'],
] as const
