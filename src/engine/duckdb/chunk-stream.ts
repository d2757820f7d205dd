import type { DuckDBDataChunk, DuckDBResult } from '@duckdb/node-api'
import { fixedOf } from './exports/chunk-vectors.ts'

/**
 * The statement to stream, of one that selects so many columns: with a column and a row more, which say where its end is.
 * DuckDB's client answers an error in the middle of a stream as it answers its end, with no chunk.
 */
export const withEnd = (select: string, columns: number): string =>
  `SELECT *, FALSE FROM (${select}) UNION ALL SELECT ${'NULL, '.repeat(columns)}TRUE`

/** The rows of a statement `withEnd`, chunk by chunk, as many as are asked for. */
export class ChunkStream {
  readonly #result: DuckDBResult
  readonly #run: <T>(work: () => Promise<T>) => Promise<T>
  readonly #end: () => Promise<void>
  readonly #signal: AbortSignal | undefined
  readonly #endColumn: number
  #closed: Promise<void> | undefined

  /** @param of `run` does what needs the database, `end` gives back what the stream was lent */
  constructor(of: {
    result: DuckDBResult
    run: <T>(work: () => Promise<T>) => Promise<T>
    end: () => Promise<void>
    signal: AbortSignal | undefined
  }) {
    this.#result = of.result
    this.#run = of.run
    this.#end = of.end
    this.#signal = of.signal
    this.#endColumn = of.result.columnCount - 1
  }

  /** The types of the columns, as DuckDB calls them. */
  get types(): string[] {
    return this.#result.columnTypes().slice(0, this.#endColumn).map(String)
  }

  /**
   * Hands chunks to `each` until it says that it has enough or there are no more; answers whether there may be more. A
   * chunk is gone when `each` returns. One call at a time; rejects where not all can be read, after which only `close` is left.
   */
  fill(each: (chunk: DuckDBDataChunk) => boolean): Promise<boolean> {
    return this.#run(async () => {
      for (let hasEnough = false; !hasEnough; ) {
        const chunk = await this.#result.fetchChunk()
        this.#signal?.throwIfAborted()
        if (!chunk?.rowCount) throw new Error('a read broke off before its last row')
        const isLast = fixedOf(chunk, this.#endColumn, 1).at(-1) === 1
        if (isLast) chunk.rowCount -= 1
        if (chunk.rowCount > 0) hasEnough = each(chunk)
        // Its memory is let go at once, and not before this: what was copied from it does not hold it.
        chunk.reset()
        if (isLast) return false
      }
      return true
    })
  }

  /** Ends the read wherever it is. */
  close(): Promise<void> {
    this.#closed ??= this.#end()
    return this.#closed
  }
}
