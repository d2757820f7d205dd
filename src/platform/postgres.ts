import { hash } from 'node:crypto'
import pg from 'pg'
import { TeatreeError } from './errors.ts'
import { Listener } from './postgres-listener.ts'

/** A row as pg gives it: BIGINT as bigint, TIMESTAMPTZ in canonical form (UTC, six places), DATE as text. */
export type DbRow = Record<string, unknown>

/** What both a pool and a transaction can do. */
export interface Queryable {
  query<R extends object = DbRow>(text: string, values?: readonly unknown[]): Promise<R[]>
}

/** A transaction under way. */
export interface Transaction extends Queryable {
  /** Gone after the transaction: what pg-boss needs to send and settle jobs within it. */
  readonly transaction: true
}

const INT8 = 20
const DATE = 1082
const TIMESTAMPTZ = 1184
const canonicalInstant = (text: string): string => {
  // "2026-11-22 09:20:36.40868+00": the sessions' time zone is UTC.
  const [seconds = '', fraction = ''] = text.replace(' ', 'T').replace(/\+00$/, '').split('.')
  return `${seconds}.${fraction.padEnd(6, '0')}Z`
}
const types: pg.CustomTypesConfig = {
  getTypeParser: ((oid: number, format?: 'text' | 'binary') => {
    if (oid === INT8) return BigInt
    if (oid === DATE) return String
    if (oid === TIMESTAMPTZ) return canonicalInstant
    return format === 'binary' ? pg.types.getTypeParser(oid, 'binary') : pg.types.getTypeParser(oid, 'text')
  }) as pg.CustomTypesConfig['getTypeParser'],
}

/**
 * As an expression of a statement: its transaction is not waited for until it is on disk. Others see it at once, and where
 * something that came after it is kept, so is it: what is lost, with a crash of PostgreSQL itself, is the end of what was done.
 */
export const UNHURRIED = `set_config('synchronous_commit', 'off', true)`

/**
 * A condition on rows that are found by something else, of which the planner sees nothing. What few rows meet as a table is analyzed,
 * many may a moment later: rows that are given by their ids were looked for through all that wait, for each of them.
 */
export const unestimated = (condition: string): string => `CASE WHEN ${condition} THEN true END`

export interface DatabaseLimits {
  connectMs: number
  /** What a statement may take, its waiting for locks included, */
  statementMs: number
  /** and its way to the server and back. */
  answerMs: number
}
const LIMITS: DatabaseLimits = { connectMs: 10_000, statementMs: 60_000, answerMs: 5000 }
/** What a transaction may do nothing: one whose process is frozen must not hold up the model's next manager with its locks. */
const IDLE_MS = 10_000

/**
 * The control database. Connections carry `application_name`, so that an operator can tell who holds them; a query
 * that cannot be sent because the database is away fails with UNAVAILABLE.
 */
export class Database implements Queryable {
  readonly #pool: pg.Pool
  readonly #listener: Listener
  /** Of the statements that are kept prepared, by their text. */
  readonly #names = new Map<string, string>()

  constructor(options: {
    url: string
    name: string
    connections: number
    limits?: DatabaseLimits
    onError: (error: Error) => void
  }) {
    const { connectMs, statementMs, answerMs } = options.limits ?? LIMITS
    const config: pg.ClientConfig = {
      connectionString: options.url,
      application_name: options.name,
      keepAlive: true,
      keepAliveInitialDelayMillis: 10_000,
      connectionTimeoutMillis: connectMs,
      options: `-c timezone=UTC -c statement_timeout=${statementMs} -c idle_in_transaction_session_timeout=${IDLE_MS}`,
      // Where packets are lost without a word, nobody else would end the wait: the server's own limit is told in vain.
      query_timeout: statementMs + answerMs,
      // What a transaction asks at once is sent at once.
      pipeline: true,
      types,
    }
    this.#pool = new pg.Pool({ ...config, max: options.connections })
    // Without this listener a lost idle connection would end the process.
    this.#pool.on('error', options.onError)
    this.#listener = new Listener(config, options.onError)
  }

  async query<R extends object = DbRow>(text: string, values: readonly unknown[] = []): Promise<R[]> {
    try {
      return (await this.#pool.query(text, [...values])).rows as R[]
    } catch (error) {
      throw named(error)
    }
  }

  /** As `query`, of a statement that comes again and again, of which there are few: every connection keeps it prepared. */
  async again<R extends object = DbRow>(text: string, values: readonly unknown[]): Promise<R[]> {
    try {
      return (await this.#pool.query(this.#prepared(text, values))).rows as R[]
    } catch (error) {
      throw named(error)
    }
  }

  #prepared(text: string, values: readonly unknown[]): pg.QueryConfig {
    const name = this.#names.get(text) ?? hash('md5', text)
    this.#names.set(text, name)
    return { name, text, values: [...values] }
  }

  /**
   * Runs `fn` in one transaction and commits, or rolls back where it throws. Statements that it does not wait between go
   * out together, and are run in the order in which they were asked; each is kept prepared. Where the answer to COMMIT is
   * lost, the error is UNAVAILABLE with `details.outcome` "unknown": look at the state before trying again.
   */
  async transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch(error => {
      throw named(error)
    })
    let broken: Error | undefined
    let isOver = false
    const gathered = gathering(client)
    // The pool listens to idle connections alone: one that is lost between two statements would end the process.
    const onError = (error: Error) => {
      broken = error
    }
    client.on('error', onError)
    try {
      const tx: Transaction = {
        transaction: true,
        query: async (text, values = []) => {
          // What comes late, as one of several that another has failed beside, would run outside of it.
          if (isOver) throw new Error('the transaction is over')
          gathered()
          return (await client.query(this.#prepared(text, values))).rows
        },
      }
      gathered()
      const begun = client.query('BEGIN')
      // The first statement is on its way behind it, and fails with it.
      begun.catch(() => {})
      const result = await fn(tx)
      isOver = true
      await begun
      const { command } = await client.query('COMMIT').catch(error => {
        throw isAway(error) ? unknownOutcome(error) : error
      })
      // So PostgreSQL answers where a statement before had failed and its error was swallowed.
      if (command !== 'COMMIT') throw new Error('the transaction was rolled back: one of its statements had failed')
      return result
    } catch (error) {
      isOver = true
      await client.query('ROLLBACK').catch(failure => {
        broken ??= failure
      })
      throw named(error)
    } finally {
      client.off('error', onError)
      client.release(broken)
    }
  }

  /**
   * Calls `onNotice` with the payload of each NOTIFY on `channel`, and `onGap` whenever some may have been missed
   * (after each connect). A notice is only ever a hint to look.
   */
  listen(channel: string, onNotice: (payload: string) => void, onGap: () => void): Promise<() => void> {
    return this.#listener.listen(channel, onNotice, onGap)
  }

  async close(): Promise<void> {
    await this.#listener.close()
    await this.#pool.end()
  }
}

/** Has what is asked from a call on until this turn is over go out in one write: each one is a system call, and wakes the server. */
function gathering(client: pg.PoolClient): () => void {
  const { stream } = (client as unknown as pg.Client).connection
  let isCorked = false
  return () => {
    if (isCorked) return
    isCorked = true
    stream.cork()
    process.nextTick(() => {
      isCorked = false
      stream.uncork()
    })
  }
}

/**
 * SQLSTATEs and system errors which mean that the database is away or has no time, not that the statement was wrong:
 * connection lost (08, 57P0, 25P03), too much to do (53), waited too long (57014, 55P03), deadlock (40P01, 40001).
 */
const AWAY = /^(08...|57P0.|53...|25P03|57014|55P03|40P01|40001|E[A-Z]+)$/
const AWAY_WORDS =
  /^(Connection terminated|timeout expired|timeout exceeded when trying to connect|Query read timeout|Client .* not queryable)/

function isAway(error: unknown): boolean {
  if (!(error instanceof Error)) return false
  const code = 'code' in error ? error.code : undefined
  return typeof code === 'string' ? AWAY.test(code) : AWAY_WORDS.test(error.message)
}
const away = (cause: unknown) =>
  new TeatreeError('UNAVAILABLE', 'The control database cannot be reached; try again.', { cause })
/** Not "try again": whoever has no idempotency key would ask for it twice. */
const unknownOutcome = (cause: unknown) =>
  new TeatreeError(
    'UNAVAILABLE',
    'The control database was lost as it answered, so this may have been taken on: ask again with the same idempotencyKey, or look first.',
    { cause, details: { outcome: 'unknown' } },
  )
const named = (error: unknown): unknown => (error instanceof TeatreeError || !isAway(error) ? error : away(error))

/** Whether the error is a unique violation of the named constraint or index. */
export const violates = (error: unknown, constraint: string): boolean =>
  (error as { constraint?: unknown })?.constraint === constraint
