/** A cell as GraphQL gives it, as text: decimals with their full scale, days in ISO 8601, `true` and `false`. */
export type Cell = string | null
export type Row = Readonly<Record<string, Cell>>
/** Rows of each table, in any order. */
export type Tables = Readonly<Record<string, readonly Row[]>>

/** What a client asks of a model. `where` is met by rows that have just these values. */
export type Operation =
  | { is: 'append' | 'upsert'; table: string; rows: readonly Row[] }
  | { is: 'update'; table: string; where: Row; set: Row }
  | { is: 'delete'; table: string; where: Row }
  | {
      is: 'import'
      table: string
      mode: 'APPEND' | 'UPSERT' | 'REPLACE'
      rows: readonly Row[]
      /** One cell of the file cannot be what it should be. */
      isBad: boolean
    }
  | { is: 'computeGoals'; input: GoalsInput }

export interface GoalsInput {
  salesModel: string
  grain: ('SITE' | 'PRODUCT')[]
  interval: 'MONTH' | 'QUARTER' | 'YEAR'
  method: 'SAME_PERIOD_LAST_YEAR' | 'BASIS_AVERAGE' | 'LINEAR_TREND'
  /** Two places; null: none. */
  total: string | null
}
export const BASIS_PERIOD = { from: '2024-01-01', to: '2025-01-01' }
export const GOAL_PERIOD = { from: '2025-01-01', to: '2026-01-01' }

export interface ModelOf {
  id: string
  kind: 'sales' | 'goals'
  engine: 'DUCKDB' | 'ARROW'
  /** The sales model that a goals model reads. */
  reads: string | null
}

/** When something was begun and had ended, in milliseconds since the run began, on the harness's one monotonic clock. */
export interface Span {
  at: number
  until: number
}

/** One try of a client to submit an intent; several with the same key are tries of the same. */
export interface Call extends Span {
  client: string
  model: string
  /** Tells the intent from all others: it is its idempotency key, or stands in its rows. */
  tag: string
  operation: Operation
  /** `refused`: the request alone was wrong, or the platform said that it took nothing on. */
  outcome: 'ok' | 'refused' | 'unknown'
  /** The error's code, where there was one. */
  code: string | null
  intent: { id: string; seq: number } | null
}

/** A client's try to take an intent back. */
export interface Cancellation extends Span {
  intent: string
  outcome: 'ok' | 'refused' | 'unknown'
}

export interface Read extends Span {
  client: string
  model: string
  asked: { newest: true } | { intent: string; seq: number } | { version: number }
  /** Null where it got none. */
  version: number | null
  code: string | null
  /** A key of `History.contents`; null where rows were not read. */
  content: string | null
  /** Read page by page, each of which said its version. */
  pages?: readonly number[]
}

/** A page of a model's log, as a subscriber was told of it. */
export interface Told {
  subscriber: string
  model: string
  at: number
  entries: readonly { id: string; status: string; version: number | null }[]
  /** Of the newest version as the page was made. */
  snapshot: number | null
  reset: boolean
}

/** The control database's row of a model, as it was looked at. */
export interface Sight {
  at: number
  model: string
  epoch: number
  version: number
  lastSeq: number
}

/** The bytes of a file of a published version, as they were looked at. */
export interface FileSight {
  at: number
  path: string
  sha256: string
}

export interface FaultNote extends Span {
  fault: string
  /** What had to hold while it lasted, and did not. */
  broken: readonly { invariant: number; what: string }[]
  /** Why it could not take effect; null where it did. */
  idle: string | null
}

export interface LedgerRow {
  id: string
  model: string
  seq: number
  /** Of the call that it is of; null for what the platform asked for itself. */
  tag: string | null
  function: string
  status: string
  version: number | null
  code: string | null
  attempts: number
  /** How often it was begun alone and took its manager down. */
  solo: number
  reads: readonly { model: string; version: number }[]
}
export interface VersionRow {
  model: string
  version: number
  epoch: number
  lastSeq: number
}
export interface QueryRunRow {
  id: string
  model: string
  state: string
}
/** `id`: of the intent or query run that has ended. */
export interface LogRow {
  model: string
  position: number
  id: string
}
/** An archive as it is in the store. */
export interface ArchiveState {
  model: string
  version: number
  content: string
}

/** Everything that was seen of one schedule. */
export interface History {
  seed: number
  models: readonly ModelOf[]
  calls: readonly Call[]
  cancellations: readonly Cancellation[]
  reads: readonly Read[]
  told: readonly Told[]
  sights: readonly Sight[]
  files: readonly FileSight[]
  faults: readonly FaultNote[]
  /** Rows that were read, by a digest of them. */
  contents: ReadonlyMap<string, Tables>
  end: {
    /** When all faults were over. */
    at: number
    ledger: readonly LedgerRow[]
    versions: readonly VersionRow[]
    queryRuns: readonly QueryRunRow[]
    log: readonly LogRow[]
    archives: readonly ArchiveState[]
    /** The ids of intents that are listed as failed or set aside. */
    listed: readonly string[]
    /** What should have come by itself once the faults were over, and did not. */
    stuck: readonly string[]
    /** Processes, connections, descriptors, memory and files that are held or left and should not be. */
    left: readonly string[]
  }
}

/** A promise that the history does not keep. */
export interface Violation {
  /** Its number in INVARIANTS. */
  invariant: number
  what: string
  /** The part of the history that shows it. */
  shown: readonly unknown[]
}

export const INVARIANTS: readonly string[] = [
  '',
  'acknowledged means exactly one outcome, unknown means none or one',
  'the effect of an intent is in every later version exactly once',
  'seq has no gap, and is the order of acceptance and of effect',
  'a read at an intent sees it, or says that it cannot yet',
  'versions go up by one, epochs never go down, and nobody sees either go back',
  'version N is what the ledger up to its lastSeq leads to, row for row',
  'the archive of version N is version N',
  'the bytes of a published version never change, and are on disk before it is one',
  'nothing of an older epoch is accepted',
  'subscribers see the whole log in order, never before its version; a page of results is of one version',
  'an intent that failed leaves nothing but its error',
  'processes, connections, descriptors, memory and files are back at their base',
  'when a fault is over everything goes on by itself, and until then health says so',
]
