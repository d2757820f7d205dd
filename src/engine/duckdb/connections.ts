import { availableParallelism } from 'node:os'
import { type DuckDBConnection, DuckDBInstance, StatementType } from '@duckdb/node-api'
import { Admission } from '../../platform/admission.ts'
import { ResultCache } from '../result-cache.ts'
import { queryTimeLimit } from '../time-limit.ts'
import { ChunkStream } from './chunk-stream.ts'
import { interruptible } from './interruptible.ts'
import { machineMemory } from './machine-memory.ts'
import { PreparedStatements } from './prepared-statements.ts'
import { readError } from './read-errors.ts'
import { DuckDBSql } from './sql.ts'
import type { Statement } from './statement.ts'

export interface ReadLimits {
  /** DuckDB's own threads; all cores where left out. */
  threads?: number
  /** Memory of all reads together, in bytes; 40 % of the machine's (or the container's) where left out. */
  memoryBytes?: number
  /** Reads at once; what the thread pool can take where left out. */
  places?: number
  /** Reads that may wait for a place before UNAVAILABLE is answered. */
  maxWaiting?: number
}

export interface UseOptions {
  /** Stops the work, which then rejects with the signal's reason. */
  signal?: AbortSignal | undefined
  /** Stops the work, which then rejects with QUERY_TIMEOUT; the wait for a place does not count. */
  timeoutSeconds?: number
  /** For releasing what was taken: waits in a full line, too. */
  mustRun?: boolean
  /** For what may read whole tables: it has half of the places at most, so that the other reads need not wait for it. */
  isExport?: boolean
  /** For SQL that a kind wrote: the quoted schema in which it finds its tables. It may SELECT, and no more. */
  schema?: string
}

/** A connection, and what it has prepared. */
interface Lent {
  connection: DuckDBConnection
  statements: PreparedStatements
}

const NO_SCHEMA = 'memory.main'

/** What else a statement did would stay with the connection, and meet the next one that gets it. */
function onlySelect(type: StatementType): void {
  if (type !== StatementType.SELECT) throw new Error(`a query runs SELECTs, and no ${StatementType[type]}`)
}

/** One DuckDB in memory, to which snapshots are attached, and its connections, each lent to one piece of work at a time. */
export class Connections {
  /** What was read of the versions that are attached. */
  readonly results = new ResultCache()
  readonly #instance: DuckDBInstance
  readonly #admission: Admission
  readonly #exports: Admission
  readonly #idle: Lent[] = []

  /** Memory of all reads together. */
  readonly memoryBytes: number

  private constructor(instance: DuckDBInstance, memoryBytes: number, limits: { places: number; maxWaiting: number }) {
    this.#instance = instance
    this.memoryBytes = memoryBytes
    this.#admission = new Admission({ ...limits, what: 'reads' })
    this.#exports = new Admission({ ...limits, places: Math.ceil(limits.places / 2), what: 'exports' })
  }

  static async open(limits: ReadLimits = {}): Promise<Connections> {
    const memory = limits.memoryBytes ?? Math.floor(0.4 * machineMemory())
    const instance = await DuckDBInstance.create(':memory:', {
      threads: String(limits.threads ?? availableParallelism()),
      memory_limit: `${Math.ceil(memory / 1024)}KiB`,
      // A read that does not fit into memory is refused: what it would spill is bounded by nothing.
      temp_directory: '',
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
    })
    const { places = readPlaces(), maxWaiting = 5_000 } = limits
    const connections = new Connections(instance, memory, { places, maxWaiting })
    // What a kind's SQL makes of an instant must not depend on where the server stands.
    await connections.use(sql => sql.run(`SET GLOBAL TimeZone = 'UTC'`))
    return connections
  }

  /** Does the work on a connection of its own, one statement at a time, as soon as there is a place. */
  use<T>(work: (sql: DuckDBSql, statements: PreparedStatements) => Promise<T>, options: UseOptions = {}): Promise<T> {
    return this.admit(async () => {
      const lent = await this.#take()
      const { connection, statements } = lent
      const { schema } = options
      try {
        if (schema !== undefined) await new DuckDBSql(connection).run(`USE ${schema}`)
        const sql = schema === undefined ? new DuckDBSql(connection) : new DuckDBSql(connection, onlySelect)
        return await limited(connection, () => work(sql, statements), options)
      } finally {
        await this.#giveBack(lent, schema !== undefined)
      }
    }, options)
  }

  /**
   * Begins to stream what the statement selects, so many rows as `count` counts (see ChunkStream). The connection is the stream's until it is closed; a
   * place it has only while DuckDB works for it, however slow its taker is.
   */
  stream({ text, params }: Statement, count: Statement, signal?: AbortSignal): Promise<ChunkStream> {
    const options = { signal, isExport: true }
    return this.admit(async () => {
      const lent = await this.#take()
      const { connection } = lent
      const run = <T>(work: () => Promise<T>): Promise<T> =>
        this.admit(() => limited(connection, work, { signal }), { ...options, mustRun: true })
      // What is open on a connection ends where another statement begins.
      const end = () => this.admit(() => this.#giveBack(lent, true), { mustRun: true })
      try {
        const sql = new DuckDBSql(connection)
        const begin = async () => {
          const [counted] = await sql.all(count.text, count.params)
          return { rows: Number(counted?.count), result: await sql.stream(text, params) }
        }
        return new ChunkStream({ ...(await limited(connection, begin, { signal })), run, end, signal })
      } catch (error) {
        await this.#giveBack(lent, true)
        throw error
      }
    }, options)
  }

  /** Does work that holds a thread of the pool, as every call into DuckDB does, as soon as there is a place. */
  admit<T>(work: () => Promise<T>, options: Pick<UseOptions, 'signal' | 'mustRun' | 'isExport'>): Promise<T> {
    const admitted = () => this.#admission.run(work, options)
    return options.isExport ? this.#exports.run(admitted, options) : admitted()
  }

  async #take(): Promise<Lent> {
    const idle = this.#idle.pop()
    if (idle) return idle
    const connection = await this.#instance.connect()
    return { connection, statements: new PreparedStatements(connection) }
  }

  async #giveBack(lent: Lent, hasSchema: boolean): Promise<void> {
    try {
      // What a connection uses can be detached under it, which breaks the connection.
      if (hasSchema) await new DuckDBSql(lent.connection).run(`USE ${NO_SCHEMA}`)
      this.#idle.push(lent)
    } catch {
      close(lent)
    }
  }

  /** What has this in its text will not come again. */
  forget(part: string): void {
    for (const { statements } of this.#idle) statements.forget(part)
  }

  /** Nothing may be under way. */
  close(): void {
    for (const lent of this.#idle.splice(0)) close(lent)
    this.#instance.closeSync()
  }
}

function close({ connection, statements }: Lent): void {
  statements.forget('')
  connection.closeSync()
}

/** Work on the connection that ends when the signal or the time says so, with the reason for it. */
async function limited<T>(
  connection: DuckDBConnection,
  work: () => Promise<T>,
  { signal, timeoutSeconds }: UseOptions,
): Promise<T> {
  try {
    if (timeoutSeconds === undefined) return signal ? await interruptible(connection, signal, work) : await work()
    using limit = queryTimeLimit(timeoutSeconds)
    return await interruptible(connection, signal ? AbortSignal.any([signal, limit.signal]) : limit.signal, work)
  } catch (error) {
    throw readError(error)
  }
}

/**
 * How many calls may hold a thread of the pool at once. DuckDB's each hold one of libuv's until they are done, and the whole
 * process (files, DNS) stands still when all are taken: one thread, of a larger pool two, is left to files, DNS and the
 * rest. The pool's size is set before the process starts and never changes.
 */
export function readPlaces(poolSize = Number(process.env.UV_THREADPOOL_SIZE) || 4): number {
  return Math.max(1, poolSize - (poolSize > 4 ? 2 : 1))
}
