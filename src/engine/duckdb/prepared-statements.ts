import type { DuckDBConnection, DuckDBPreparedStatement } from '@duckdb/node-api'
import { LRUCache } from 'lru-cache'

/** Statements of one connection that stay prepared: planning one takes as long as running it on a small table. */
const MOST = 16

/** The statements of a connection that are likely to come again, prepared. One is used at a time. */
export class PreparedStatements {
  readonly #connection: DuckDBConnection
  readonly #kept = new LRUCache<string, DuckDBPreparedStatement>({
    max: MOST,
    dispose: (prepared, _, reason) => {
      if (reason !== 'delete') prepared.destroySync()
    },
  })

  constructor(connection: DuckDBConnection) {
    this.#connection = connection
  }

  async use<T>(text: string, run: (prepared: DuckDBPreparedStatement) => Promise<T>): Promise<T> {
    const prepared = this.#kept.get(text) ?? (await this.#connection.prepare(text))
    this.#kept.delete(text)
    try {
      const result = await run(prepared)
      this.#kept.set(text, prepared)
      return result
    } catch (error) {
      // What it has been left as nobody knows.
      prepared.destroySync()
      throw error
    }
  }

  /** Forgets the statements whose text has this in it. */
  forget(part: string): void {
    for (const text of this.#kept.keys()) if (text.includes(part)) this.#forget(text)
  }

  #forget(text: string): void {
    const prepared = this.#kept.get(text)
    this.#kept.delete(text)
    prepared?.destroySync()
  }
}
