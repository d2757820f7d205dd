import type { EngineName } from '../kinds/context.ts'
import type { Kind, KindShape, Kinds } from '../kinds/kind.ts'
import type { LogicalType, Row, Value } from '../kinds/types.ts'
import type { ImportFormat } from './files.ts'
import type { AggregatePlan, AggregateRow, DiffPlan, Filter, RowsPlan, TablePlan } from './plan.ts'

/**
 *   manager ─▶ Writer ── apply(changes) ──▶ scratch ── snapshot(dir) ──▶ files of version N   (immutable from then on)
 *   API     ─▶ Readers ─ open(files of N) ─▶ SnapshotReader ── rows, aggregate, query …        (any number, never wait)
 *
 * One interface, as many engines as there are; what an engine cannot do it does not offer to a kind (Kind.engines).
 */
export interface Engine {
  readonly name: EngineName
  /** The one read-write database of a model, in `dir`, which is the scratch folder of this epoch and empty. */
  openWriter(options: WriterOptions): Promise<Writer>
  /** The readers of this process; one per process. */
  openReaders(): Promise<Readers>
  /**
   * Makes the files of an archived version again, in `dir` (made, and empty), synced to disk: the same rows, version and
   * lastSeq. Its kind need not be known. BAD_FILE where a Parquet is not what the archive says.
   */
  restore(archived: ArchivedVersion, dir: string, options?: RestoreOptions): Promise<MadeSnapshot>
  /** What an uploaded file holds; BAD_FILE where it cannot be read. */
  describeFile(path: string, format: ImportFormat): Promise<FileDescription>
  /**
   * A version as one file at `to` (not there yet, in a folder of its own), which is whole, synced, and opens without this
   * platform; and its blocks. Rejects with SnapshotMissing where the version's files are gone, with SnapshotDamaged where
   * they are not what their checksums say. It takes a while, which is bounded. An engine has this or `checkFile`.
   */
  exportFile?(
    of: { version: number; files: SnapshotFiles; checksums?: Checksums | undefined },
    to: string,
  ): Promise<BlockManifest>
  /**
   * Of an engine whose versions leave the house as the files that they consist of: reads one, once in a process, and rejects with
   * SnapshotDamaged where it is not what was published, with SnapshotMissing where it is not there.
   */
  checkFile?(path: string, file: SnapshotFile): Promise<void>
}

/** Sha256 (hex) of each block of `blockSize` bytes; the first is the file's headers, the last may be shorter. */
export interface BlockManifest {
  bytes: number
  blockSize: number
  blocks: string[]
}

/** `type` is a logical type where the file's maps to one, else the file's own name for it; `rows` null where unknown. */
export interface FileDescription {
  columns: { name: string; type: string; nullable: boolean }[]
  rows: number | null
}

export interface WriterOptions {
  kind: Kind
  kinds: Kinds
  dir: string
  /** The newest published version to begin from, null for the empty model. */
  from: SnapshotFiles | null
  /** Of its files. Where one is another, the writer does not open, and rejects with SnapshotDamaged. */
  checksums?: Checksums | undefined
}

/** A version as its archive has it. */
export interface ArchivedVersion {
  version: number
  lastSeq: bigint
  /** The kind's tables as they were when it was archived. */
  shape: KindShape
  /** The Parquet of every table of the shape. */
  tables: Readonly<Record<string, { path: string; rows: number }>>
}
export interface RestoreOptions {
  signal?: AbortSignal | undefined
  /** Called before each table is taken up. */
  onTable?(table: string): void
}

/** What is in a snapshot folder. */
export interface MadeSnapshot {
  files: SnapshotFile[]
  tables: TableRows[]
}

/** The files of one version, as absolute paths by name. */
export type SnapshotFiles = Readonly<Record<string, string>>

/** Of the files of a version by name, each as SnapshotFile.sha256. */
export type Checksums = Readonly<Record<string, string>>

/** A version of another model, for functions and imports that read it. */
export interface SnapshotRef {
  /**
   * What it is attached as, so that a `.sql` function can say `FROM salesModel.sales`: the name of the argument that
   * chose it, or `source`, `source_2` … for the models that a function with `runsOn` reads.
   */
  alias: string
  model: string
  kind: string
  version: number
  files: SnapshotFiles
  /** Of its files, where they are known; and the epoch that made them, for who is told that they are damaged. */
  checksums?: Checksums | undefined
  epoch?: number
}

/** One change of a model's tables, as an intent says it; rows and filters have been checked. */
export type Change =
  | { is: 'append' | 'upsert'; table: string; rows: readonly Row[] }
  | { is: 'update'; table: string; where: Filter; set: Row }
  | { is: 'delete'; table: string; where: Filter }
  | { is: 'import'; table: string; mode: ImportMode; source: ImportSource }
  | { is: 'function'; name: string; args: Readonly<Record<string, unknown>>; reads: readonly SnapshotRef[] }
  /** All tables of another model of the same kind: how a scenario begins. */
  | { is: 'copy'; from: SnapshotRef }

export type ImportMode = 'APPEND' | 'UPSERT' | 'REPLACE'
/** `columns`: column to fill → the source's column. Left out: columns of the same name. */
export type ImportSource =
  | { is: 'file'; path: string; format: ImportFormat; columns?: Readonly<Record<string, string>> }
  | { is: 'snapshot'; snapshot: SnapshotRef; table: string; columns?: Readonly<Record<string, string>> }

/** An intent as an engine needs it. */
export interface Work {
  intentId: string
  seq: bigint
  /** Canonical TIMESTAMP. */
  submittedAt: string
  change: Change
  signal: AbortSignal
  /** Called at each step of a function or an import; `progress` 0 to 1 where it is known. */
  onStep(step: string, progress: number | null): void
}

export type WorkOutcome =
  /** `result` is the function's, or `{table, inserted, updated, deleted}` (counts as BIGINT) of a row write. */
  | { ok: true; result: Row }
  /** The intent was refused and has left nothing behind. */
  | { ok: false; error: Error }

/** What a table is in a version. */
export interface TableRows {
  name: string
  rows: number
  /**
   * Since this version rows have only been added to the table, behind those that it had: nothing of them was changed, moved
   * or removed. Left out where that is not known.
   */
  grownSince?: number
}

/** Which version of which model is opened, and its tables. */
export interface VersionOpened {
  model: string
  version: number
  tables: readonly TableRows[]
  /** Rejects where the version may have been let go by now. Only what was read before it settles is kept for later versions. */
  check(): Promise<void>
}

export interface Writer {
  /** The version and lastSeq that the database itself says it holds. */
  readonly version: number
  readonly lastSeq: bigint
  /** Whether the kind has got tables or columns that the database will have with the next version. */
  readonly hasAdditions: boolean
  /**
   * Applies the work in order, each whole or not at all, and leaves the database at `version`. Outcomes are in the
   * order of the work. It throws only where the surroundings failed (disk, memory, a database that is broken): then
   * nothing is known, and the writer must be closed and opened anew from the newest published version.
   * One call at a time.
   */
  apply(work: readonly Work[], version: number): Promise<WorkOutcome[]>
  /**
   * Writes the present state into `dir` (made, and empty), synced to disk, and says what is in it. The files may be links
   * to what earlier versions have, and cost what has changed since.
   */
  snapshot(dir: string): Promise<MadeSnapshot>
  /** Does, while nobody waits, what makes the next snapshots cheaper. */
  tidy(): Promise<void>
  close(): Promise<void>
}

export interface SnapshotFile {
  name: string
  bytes: number
  /** Of a DUCKDB file: of its block manifest; of every other: of its bytes. Hex. */
  sha256: string
}

export interface Readers {
  /**
   * Opens a version; costs milliseconds. The reader stays right until closed as long as the version is kept: files that
   * no version needs any more may be written over, so whoever opens one leases it (jobs/version-leases.ts). Rejects with
   * SnapshotMissing where a file is not there (any more), with SnapshotDamaged, as reads do, where one is found to be
   * damaged, and with KIND_CHANGED where the kind has since given a column another type. Without files it is version 0, the empty model.
   * Where it is said what the files are, what an earlier version of the model answered is taken over as far as it is still right.
   */
  open(options: { kind: Kind; files: SnapshotFiles; of?: VersionOpened }): Promise<SnapshotReader>
  /** Rows `[offset, offset + limit)` of a result, with a value for each column. RESULT_TOO_LARGE, QUERY_TIMEOUT. */
  resultRows(result: StoredResult, page: { offset: number; limit: number }, signal?: AbortSignal): Promise<unknown[][]>
  /** All of a result as bytes of the format; see SnapshotReader.stream. */
  streamResult(result: StoredResult, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void>
  /** Closes what is still open, too. */
  close(): Promise<void>
}

/**
 * What runs in a process of its own: SQL that somebody wrote, `params` being plain values and lists of such, or a query
 * function, whose arguments have been coerced.
 */
export type QueryWork =
  | { is: 'sql'; statement: string; params: readonly unknown[] }
  | { is: 'function'; name: string; args: Readonly<Record<string, unknown>> }

/** How long a query may take, and how large its result may be. */
export interface QueryBounds {
  seconds: number
  rows: number
  /** Of its file. */
  bytes: number
}

/**
 * A column of a result. `type` is a logical type, or DuckDB's name where there is none; `stored` is as what its values are
 * kept. With `isJson` those are JSON texts, of values that have parts.
 */
export interface ResultColumn {
  name: string
  type: string
  stored: LogicalType
  isJson: boolean
  nullable: boolean
}
export interface QueryResult {
  columns: ResultColumn[]
  rows: number
  bytes: number
}
/** A result as a Parquet file. */
export interface StoredResult {
  path: string
  columns: readonly ResultColumn[]
  rows: number
}

/**
 * Reads one version. Every method may be called many times at once; too many at once are refused with UNAVAILABLE. An
 * aborted signal stops the read, which then rejects with the signal's reason.
 */
export interface SnapshotReader {
  /** The version and lastSeq that the files themselves say they hold. */
  readonly version: number
  readonly lastSeq: bigint
  /** Rows with at least `columns` and the columns of `orderBy`, so that cursors can be made. */
  rows(plan: RowsPlan, signal?: AbortSignal): Promise<readonly Row[]>
  /**
   * The rows that have one of the keys, each once, in no order; with at least `columns` and `keyColumns`. A key holds a
   * value for each of `keyColumns`; nulls are equal.
   */
  readByKeys(
    table: string,
    columns: readonly string[],
    keyColumns: readonly string[],
    keys: readonly (readonly Value[])[],
    signal?: AbortSignal,
  ): Promise<readonly Row[]>
  count(table: string, where: Filter, signal?: AbortSignal): Promise<bigint>
  /** Sums of integers may be larger than 64 bits; a sum past 38 digits, or a DOUBLE past its range, is BAD_VALUE. */
  aggregate(plan: AggregatePlan, signal?: AbortSignal): Promise<AggregateRow[]>
  /** How many groups the plan has, over all pages. */
  countGroups(plan: AggregatePlan, signal?: AbortSignal): Promise<bigint>
  /**
   * A page of a query function, whose arguments have been coerced; QUERY_TIMEOUT past its time limit. `after` is the
   * position of the last row of the page before. `reads` are the versions of other models that the arguments name.
   */
  query(
    name: string,
    args: Readonly<Record<string, unknown>>,
    page: QueryPage,
    signal?: AbortSignal,
    reads?: readonly QueryRead[],
  ): Promise<QueryRows>
  /** What changed from `older`, a reader of the same process and kind, to this. */
  diff(older: SnapshotReader, plan: DiffPlan, signal?: AbortSignal): Promise<DiffRow[]>
  tables(): Promise<TableRows[]>
  /** Rows of a table as one Parquet file at `path` (temp name, synced, renamed). */
  exportParquet(plan: TablePlan, path: string, signal?: AbortSignal): Promise<{ bytes: number; rows: number }>
  /**
   * Rows of a table as bytes of the format, in the order in which the version has them stored, which is the same every
   * time. They are read as they are taken, with memory for a few pieces, and hold up no other read while nobody takes
   * them. It throws where they cannot be read to the end: what came before is a part, and the format may not show it.
   * It is held open until it has ended: take all of it, or `return`.
   */
  stream(plan: TablePlan, format: StreamFormat, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, void>
  /**
   * Does the work in a process of its own, which is locked down and killed where it goes too far; the result is a Parquet
   * file at `to`. STATEMENT_NOT_ALLOWED, ACCESS_DENIED, BAD_VALUE, QUERY_TIMEOUT, QUERY_TOO_EXPENSIVE, RESULT_TOO_LARGE.
   * How many run at once is the caller's care. `reads` as with `query`.
   */
  run(
    work: QueryWork,
    to: string,
    bounds: QueryBounds,
    signal?: AbortSignal,
    reads?: readonly QueryRead[],
  ): Promise<QueryResult>
  /** Refuses what `run` would before it reads any row. */
  check(work: QueryWork, seconds: number, signal?: AbortSignal, reads?: readonly QueryRead[]): Promise<void>
  /** Waits for the reads under way; those that come later are refused. */
  close(): Promise<void>
}

/**
 * `arrow` is an IPC stream with the types of the columns. `csv` has a header; an empty field is null, `""` the empty string.
 * In `ndjson` values are as in GraphQL: decimals and 64-bit integers are strings.
 */
export type StreamFormat = 'arrow' | 'csv' | 'ndjson'

/** `before` is null for what was ADDED, `after` for what was REMOVED; both hold the plan's columns. */
export interface DiffRow {
  change: 'ADDED' | 'REMOVED' | 'CHANGED'
  key: readonly Value[]
  before: Row | null
  after: Row | null
}

export interface QueryPage {
  limit: number
  after?: readonly Value[]
  /** Whether `total` is wanted. */
  count: boolean
}
/** A version of another model, open in the same readers; `alias` is the argument that named it. */
export interface QueryRead {
  alias: string
  model: string
  reader: SnapshotReader
}
export interface QueryRows {
  rows: Row[]
  /** The values of the query's orderBy for each row, for cursors. */
  positions: (readonly Value[])[]
  page: Row
  total: bigint | null
}
