import pg from 'pg'
import { TeatreeError } from './errors.ts'

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
 * The control database. Connections carry `application_name`, so that an operator can tell who holds them; a query
 * that cannot be sent because the database is away fails with UNAVAILABLE.
 */
export class Database implements Queryable {
  readonly #pool: pg.Pool
  readonly #listener: Listener

  constructor(options: { url: string; name: string; connections: number; onError: (error: Error) => void }) {
    const config: pg.ClientConfig = {
      connectionString: options.url,
      application_name: options.name,
      keepAlive: true,
      options: '-c timezone=UTC -c statement_timeout=60000 -c idle_in_transaction_session_timeout=60000',
      types,
    }
    this.#pool = new pg.Pool({ ...config, max: options.connections, connectionTimeoutMillis: 10_000 })
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

  /**
   * Runs `fn` in one transaction and commits, or rolls back where it throws. Where the answer to COMMIT is lost, the
   * error is UNAVAILABLE with `details.outcome` "unknown": look at the state before trying again.
   */
  async transaction<T>(fn: (tx: Transaction) => Promise<T>): Promise<T> {
    const client = await this.#pool.connect().catch(error => {
      throw named(error)
    })
    let broken: Error | undefined
    try {
      const tx: Transaction = {
        transaction: true,
        query: async (text, values = []) => (await client.query(text, [...values])).rows,
      }
      await client.query('BEGIN')
      const result = await fn(tx)
      await client.query('COMMIT').catch(error => {
        throw isAway(error) ? away(error, { outcome: 'unknown' }) : error
      })
      return result
    } catch (error) {
      await client.query('ROLLBACK').catch(failure => {
        broken = failure
      })
      throw named(error)
    } finally {
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

/** SQLSTATE classes and system errors which mean that the database is away, not that the statement was wrong. */
function isAway(error: unknown): boolean {
  const code = (error as { code?: unknown })?.code
  if (typeof code !== 'string')
    return (
      error instanceof Error && /terminated|timeout exceeded when trying to connect|not queryable/i.test(error.message)
    )
  return /^(08|57P0|53)/.test(code) || /^E[A-Z]+$/.test(code)
}
const away = (cause: unknown, details: Record<string, unknown> = {}) =>
  new TeatreeError('UNAVAILABLE', 'The control database cannot be reached; try again.', { cause, details })
const named = (error: unknown): unknown => (error instanceof TeatreeError || !isAway(error) ? error : away(error))

/** Whether the error is a unique violation of the named constraint or index. */
export const violates = (error: unknown, constraint: string): boolean =>
  (error as { constraint?: unknown })?.constraint === constraint

interface Subscriber {
  channel: string
  onNotice: (payload: string) => void
  onGap: () => void
}

/** One connection that listens for all who want to, made again with backoff when it is lost. */
class Listener {
  readonly #config: pg.ClientConfig
  readonly #onError: (error: Error) => void
  readonly #subscribers = new Set<Subscriber>()
  #client: Promise<pg.Client> | null = null
  #retry: NodeJS.Timeout | null = null
  #failures = 0
  #closed = false

  constructor(config: pg.ClientConfig, onError: (error: Error) => void) {
    this.#config = config
    this.#onError = onError
  }

  async listen(channel: string, onNotice: Subscriber['onNotice'], onGap: Subscriber['onGap']): Promise<() => void> {
    if (!/^[a-z_]+$/.test(channel)) throw new Error(`not a channel: ${channel}`)
    const subscriber = { channel, onNotice, onGap }
    this.#subscribers.add(subscriber)
    try {
      const client = await this.#connected()
      await client.query(`LISTEN ${channel}`)
    } catch (error) {
      this.#lost(error as Error)
    }
    return () => this.#subscribers.delete(subscriber)
  }

  #connected(): Promise<pg.Client> {
    this.#client ??= this.#connect()
    return this.#client
  }

  async #connect(): Promise<pg.Client> {
    const client = new pg.Client(this.#config)
    client.on('error', error => this.#lost(error))
    client.on('end', () => this.#lost(new Error('the listening connection ended')))
    client.on('notification', ({ channel, payload }) => {
      for (const subscriber of this.#subscribers) if (subscriber.channel === channel) subscriber.onNotice(payload ?? '')
    })
    await client.connect()
    for (const channel of new Set([...this.#subscribers].map(subscriber => subscriber.channel)))
      await client.query(`LISTEN ${channel}`)
    this.#failures = 0
    for (const subscriber of this.#subscribers) subscriber.onGap()
    return client
  }

  #lost(error: Error): void {
    if (this.#closed || this.#retry) return
    this.#onError(error)
    const client = this.#client
    this.#client = null
    client?.then(old => old.end()).catch(() => {})
    this.#retry = setTimeout(
      () => {
        this.#retry = null
        this.#connected().catch(failure => {
          this.#client = null
          this.#lost(failure)
        })
      },
      Math.min(50 * 2 ** this.#failures++, 2000),
    )
  }

  async close(): Promise<void> {
    this.#closed = true
    if (this.#retry) clearTimeout(this.#retry)
    await (await this.#client?.catch(() => null))?.end()
  }
}
