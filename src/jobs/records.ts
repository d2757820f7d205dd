import type { QueryWork, ResultColumn, TableRows } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import type { KindShape } from '../kinds/kind.ts'
import type { CellError } from '../platform/errors.ts'

/**
 * What the control database holds, as code sees it: instants in canonical form, seq and positions as bigint. The words
 * are those of ARCHITECTURE.md.
 */
export type PodSize = 'SMALL' | 'MEDIUM' | 'LARGE' | 'XLARGE'

export interface Model {
  id: string
  name: string
  kind: string
  shape: KindShape
  engine: EngineName
  size: PodSize
  createdAt: string
  epoch: number
  version: number
  lastSeq: bigint
  completions: bigint
  archivedVersion: number
  blocked: IntentError | null
  retryAt: string | null
}

export type IntentStatus = 'QUEUED' | 'RUNNING' | 'PUBLISHED' | 'FAILED' | 'CANCELLED' | 'PARKED'

export interface IntentError {
  code: string
  message: string
  cells: readonly CellError[]
  details: Readonly<Record<string, unknown>> | null
}

export interface Intent {
  id: string
  model: string
  seq: bigint
  function: string
  arguments: Readonly<Record<string, unknown>>
  alone: boolean
  /** The model whose version started it; null for one that somebody asked for. */
  source: string | null
  /** The upload that it imports. */
  upload: string | null
  status: IntentStatus
  progress: number | null
  step: string | null
  attempts: number
  solo: number
  version: number | null
  result: Readonly<Record<string, unknown>> | null
  error: IntentError | null
  submittedBy: string | null
  submittedAt: string
  startedAt: string | null
  endedAt: string | null
  traceparent: string
}

export type QueryState = 'QUEUED' | 'RUNNING' | 'DONE' | 'FAILED' | 'CANCELLED'

/** A long read of a version. */
export interface QueryRun {
  id: string
  model: string
  readVersion: number
  work: QueryWork
  state: QueryState
  /** Counts the times that it was taken up. */
  attempt: number
  /** How often its server did not come back from it. */
  deaths: number
  error: IntentError | null
  /** Of its result, as the number of its rows and until when it is kept: null until DONE. */
  columns: readonly ResultColumn[] | null
  rowCount: bigint | null
  expiresAt: string | null
  submittedAt: string
  startedAt: string | null
  endedAt: string | null
  traceparent: string
}

export interface Version {
  model: string
  version: number
  epoch: number
  lastSeq: bigint
  /** Position of the newest completion as it was published. */
  completions: bigint
  publishedAt: string
  tables: readonly TableRows[]
  kept: boolean
  /** Kept, and its files have to be made again. */
  lost: boolean
}

export type ContentForm = 'DUCKDB' | 'PARQUET' | 'ARROW' | 'RESULT'
/** See the column in migrations/0004. Clients see neither COMING nor GOING. */
export type ContentRole = 'PUBLISHED' | 'CLEAN' | 'COMING' | 'STORED' | 'GOING'
export interface Content {
  id: string
  model: string
  version: number
  form: ContentForm
  role: ContentRole
  table: string | null
  name: string
  uri: string
  bytes: bigint
  rows: bigint | null
  sha256: string
  createdAt: string
  /** The query run whose result it is. */
  queryRun: string | null
  /** Whether its version can still be read. */
  kept: boolean
}

/** Select lists that give these records; `t` is the table's alias in the query. */
export const columns = {
  /** The names of the files that readers open: `v` has a version's model and number, `m` is the model. */
  files: (v: string, m: string) => `coalesce((SELECT json_agg(f.name) FROM content_index f
    WHERE f.model = ${v}.model AND f.version = ${v}.version AND f.form = ${m}.engine AND f.role = 'PUBLISHED'),
    '[]') AS files`,
  /** Their checksums by name. */
  checksums: (v: string, m: string) => `coalesce((SELECT json_object_agg(f.name, f.sha256) FROM content_index f
    WHERE f.model = ${v}.model AND f.version = ${v}.version AND f.form = ${m}.engine AND f.role = 'PUBLISHED'),
    '{}') AS checksums`,
  model: (
    t: string,
  ) => `${t}.id, ${t}.name, ${t}.kind, ${t}.shape, ${t}.engine, ${t}.size, ${t}.created_at AS "createdAt",
    ${t}.epoch, ${t}.version, ${t}.last_seq AS "lastSeq", ${t}.completions, ${t}.archived_version AS "archivedVersion",
    ${t}.blocked, ${t}.retry_at AS "retryAt"`,
  intent: (
    t: string,
  ) => `${t}.id, ${t}.model, ${t}.seq, ${t}.function, ${t}.arguments, ${t}.alone, ${t}.source, ${t}.upload, ${t}.status,
    ${t}.progress, ${t}.step, ${t}.attempts, ${t}.solo, ${t}.version, ${t}.result, ${t}.error,
    ${t}.submitted_by AS "submittedBy", ${t}.submitted_at AS "submittedAt", ${t}.started_at AS "startedAt",
    ${t}.ended_at AS "endedAt", ${t}.traceparent`,
  queryRun: (
    t: string,
  ) => `${t}.id, ${t}.model, ${t}.version AS "readVersion", ${t}.work, ${t}.state, ${t}.attempt, ${t}.deaths, ${t}.error,
    ${t}.columns, ${t}.row_count AS "rowCount", ${t}.expires_at AS "expiresAt", ${t}.submitted_at AS "submittedAt",
    ${t}.started_at AS "startedAt", ${t}.ended_at AS "endedAt", ${t}.traceparent`,
  version: (t: string) => `${t}.model, ${t}.version, ${t}.epoch, ${t}.last_seq AS "lastSeq", ${t}.completions,
    ${t}.published_at AS "publishedAt", ${t}.tables, ${t}.kept, ${t}.lost`,
  /** `v` is the version of the file. */
  content: (
    t: string,
    v: string,
  ) => `${t}.id, ${t}.model, ${t}.version, ${t}.form, ${t}.role, ${t}.table_name AS "table", ${t}.name, ${t}.uri,
    ${t}.bytes, ${t}.rows, ${t}.sha256, ${t}.created_at AS "createdAt", ${t}.query_run AS "queryRun", ${v}.kept`,
} as const

/** An error as it is kept with an intent; of one that may not be shown, only that it was ours. */
export const intentError = (error: {
  code: string
  message: string
  cells?: readonly CellError[]
  details?: Readonly<Record<string, unknown>> | undefined
}): IntentError => ({
  code: error.code,
  message: error.message,
  cells: error.cells ?? [],
  details: error.details ?? null,
})
