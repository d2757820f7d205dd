import type { ReadModel } from '../../../kinds/context.ts'
import type { Column, KindShape } from '../../../kinds/kind.ts'
import type { TeatreeError } from '../../../platform/errors.ts'
import type { QueryPage, QueryResult, QueryRows, QueryWork, SnapshotFiles, SnapshotRef } from '../../engine.ts'

/** What a process is asked for: one query at a time. */
export interface QueryJob {
  snapshot: QuerySnapshot
  /** Versions of other models that a query function reads, in the order of its arguments. */
  reads: readonly QuerySource[]
  work: QueryWork
  /** Of a query function over frames: the versions that it reads, of which SQL opens none. */
  frames?: { own: SnapshotRef; reads: readonly SnapshotRef[] }
  /** Of a query function over frames, where a page of its rows is wanted and no file of all. */
  page?: QueryPage
  /** Whether to say only what `run` would refuse before it reads. */
  checkOnly: boolean
  /** How many rows the result may have. */
  rows: number
  /** How large its file may be, and the texts in it. */
  bytes: number
}

/** A version to read, and the kind's tables as they are today. */
export interface QuerySnapshot {
  kind: string
  shape: KindShape
  tables: readonly { name: string; columns: readonly Column[] }[]
  files: SnapshotFiles
  /** By table; where the version's files are no database, its rows are in these. */
  parquets?: Readonly<Record<string, readonly string[]>>
}

export interface QuerySource extends Pick<ReadModel, 'alias' | 'model' | 'version'> {
  snapshot: QuerySnapshot
}

/** Names the versions of a job: what a process has open stays open for the next job that reads just these. */
export const versionsOf = ({ snapshot, reads }: QueryJob): string => JSON.stringify([snapshot, reads])

/** A process has nothing more to say of a job after the one answer. */
export type FromQueryProcess =
  | { is: 'done'; result: Omit<QueryResult, 'bytes'> }
  /** As JSON has it. */
  | { is: 'page'; rows: Omit<QueryRows, 'total'> & { total: string | null } }
  | ({ is: 'refused'; message: string } & Pick<TeatreeError, 'code' | 'cells' | 'details'>)
  /** A fault of ours, for the log alone. */
  | { is: 'failed'; reason: string }
  /** The version's files are not what was written to them. */
  | { is: 'damaged'; reason: string }

/** In the process's own folder, the one place where it can write. */
export const RESULT_FILE = 'result.parquet'
