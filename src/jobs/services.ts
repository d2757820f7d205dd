import type { Kinds } from '../kinds/kind.ts'
import type { Database } from '../platform/postgres.ts'
import type { Completions } from './completions.ts'
import type { Ledger } from './ledger.ts'
import type { Models } from './models.ts'
import type { Snapshots } from './snapshots.ts'
import type { Submitter } from './submit.ts'
import type { Uploads } from './uploads.ts'

/** What an API process has of the jobs: all that resolvers and the HTTP server may call. Built in commands/serve.ts. */
export interface Services {
  db: Database
  kinds: Kinds
  models: Models
  ledger: Ledger
  submitter: Submitter
  snapshots: Snapshots
  completions: Completions
  uploads: Uploads
  /** The base of links to /content, "http://127.0.0.1:4000". */
  publicUrl(): string
}
