import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { Queryable } from '../platform/postgres.ts'
import type { Signatures } from '../platform/signatures.ts'
import type { Completions } from './completions.ts'
import type { ContentIndex } from './content.ts'
import type { Downloads } from './downloads.ts'
import type { Ledger } from './ledger.ts'
import type { Links } from './links.ts'
import type { ModelChanges } from './model-changes.ts'
import type { Models } from './models.ts'
import type { QueryRuns } from './query-runs.ts'
import type { Snapshots } from './snapshots.ts'
import type { SqlQueries } from './sql-queries.ts'
import type { StoredResults } from './stored-results.ts'
import type { Submitter } from './submit.ts'
import type { Uploads } from './uploads.ts'

/** What others may call of a class, so that something else can stand in for it. */
export type Public<T> = Pick<T, keyof T>

/**
 * What an API process has of the jobs: all that resolvers and the HTTP server may call. Built in commands/serve.ts, and
 * for pulled files alone in offline/services.ts.
 */
export interface Services {
  /** For pinning and releasing versions. */
  db: Queryable
  kinds: Kinds
  models: Public<Models>
  ledger: Public<Ledger>
  submitter: Public<Submitter>
  snapshots: Public<Snapshots>
  completions: Public<Completions>
  modelChanges: Public<ModelChanges>
  sql: Public<SqlQueries>
  queryRuns: Public<QueryRuns>
  results: Public<StoredResults>
  uploads: Public<Uploads>
  content: ContentIndex
  downloads: Downloads
  /** By which cursors are ours; with the key of jobs/signing-key.ts, or none. */
  signatures: Signatures
  links: Public<Links>
  /** Where what the caller is not told of is told. */
  log: Pick<Log, 'warn'>
}
