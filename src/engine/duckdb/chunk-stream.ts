import type { DuckDBDataChunk, DuckDBResult } from '@duckdb/node-api'

/**
 * The rows of a statement, chunk by chunk, as many as are asked for. How many there are in all has been counted before:
 * DuckDB's client answers an error in the middle as it answers the end, with no chunk.
 */
export class ChunkStream {
  readonly #result: DuckDBResult
  readonly #run: <T>(work: () => Promise<T>) => Promise<T>
  readonly #end: () => Promise<void>
  readonly #signal: AbortSignal | undefined
  /** Rows that are still to come. */
  #left: number
  #closed: Promise<void> | undefined

  /** @param of `run` does what needs the database, `end` gives back what the stream was lent */
  constructor(of: {
    result: DuckDBResult
    rows: number
    run: <T>(work: () => Promise<T>) => Promise<T>
    end: () => Promise<void>
    signal: AbortSignal | undefined
  }) {
    this.#result = of.result
    this.#left = of.rows
    this.#run = of.run
    this.#end = of.end
    this.#signal = of.signal
  }

  /** The types of the columns, as DuckDB calls them. */
  get types(): string[] {
    return this.#result.columnTypes().map(String)
  }

  /**
   * Hands chunks to `each` until it says that it has enough or there are no more; answers whether there are more. A
   * chunk is gone when `each` returns. One call at a time; rejects where not all can be read, after which only `close` is left.
   */
  async fill(each: (chunk: DuckDBDataChunk) => boolean): Promise<boolean> {
    if (this.#left === 0) return false
    return this.#run(async () => {
      for (let hasEnough = false; !hasEnough && this.#left > 0; ) {
        const chunk = await this.#result.fetchChunk()
        this.#signal?.throwIfAborted()
        const rows = chunk?.rowCount ?? 0
        if (!chunk || rows === 0 || rows > this.#left) throw new Error(`${this.#left} rows of a read did not come`)
        hasEnough = each(chunk)
        this.#left -= rows
        // The chunk is held until here: what was copied from its memory does not hold it.
        chunk.reset()
      }
      return this.#left > 0
    })
  }

  /** Ends the read wherever it is. */
  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }
}
