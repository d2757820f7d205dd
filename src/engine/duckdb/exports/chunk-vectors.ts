import type { DuckDBDataChunk } from '@duckdb/node-api'
import duckdb from '@duckdb/node-bindings'
import { isSet, type Texts } from '../../arrow/buffers.ts'

/*
 * What is in a chunk's vectors, as copies of DuckDB's own memory, which is the chunk's: it must be held until they are made.
 * The bindings believe the lengths that they are given.
 */

/** Values of so many bytes each; where there is a null they may be anything. */
export function fixedOf(chunk: DuckDBDataChunk, column: number, width: number): Uint8Array {
  const bytes = duckdb.vector_get_data(vectorOf(chunk, column), chunk.rowCount * width)
  // Views of numbers want to begin where a number can.
  return bytes.byteOffset % 8 === 0 ? bytes : Uint8Array.from(bytes)
}

/** A bit for each value, 0 for null, the lowest of a byte first; null where none is null. */
export function validityOf(chunk: DuckDBDataChunk, column: number): Uint8Array | null {
  const words = Math.ceil(chunk.rowCount / 64)
  return duckdb.vector_get_validity(vectorOf(chunk, column), words * 8) as Uint8Array | null
}

const vectorOf = (chunk: DuckDBDataChunk, column: number) => duckdb.data_chunk_get_vector(chunk.chunk, column)

const TEXT_BYTES = 16
/** Texts up to this length are in the vector itself. */
const INLINE_BYTES = 12

/**
 * Adds the texts of a VARCHAR; a null is an empty one. A vector has 16 bytes for each:
 *
 *   length │ up to 12 bytes              length │ its first 4 bytes │ pointer to all of it
 */
export function addTexts(chunk: DuckDBDataChunk, column: number, validity: Uint8Array | null, into: Texts): void {
  const rows = chunk.rowCount
  const vector = fixedOf(chunk, column, TEXT_BYTES)
  const words = new Uint32Array(vector.buffer, vector.byteOffset, rows * 4)
  const lengths = new Uint32Array(rows)
  for (let row = 0; row < rows; row++) {
    // What stands for a null may have any length.
    if (validity === null || isSet(validity, row)) lengths[row] = words[row * 4] ?? 0
  }
  const { bytes, ends } = into.extend(lengths)
  const longs = new LongTexts(vector, words, lengths)
  for (let row = 0; row < rows; row++) {
    const length = lengths[row] ?? 0
    const start = (ends[row] ?? 0) - length
    if (length > INLINE_BYTES) bytes.set(longs.of(row), start)
    else {
      const from = row * TEXT_BYTES + 4
      for (let index = 0; index < length; index++) bytes[start + index] = vector[from + index] ?? 0
    }
  }
}

/**
 * The texts that a vector points to. A call into DuckDB costs as much as a thousand bytes, and its texts mostly lie one
 * behind the other: so those that do are fetched together.
 */
class LongTexts {
  readonly #vector: Uint8Array
  readonly #words: Uint32Array
  readonly #lengths: Uint32Array
  /** What has been fetched, and where in DuckDB's memory it lies. */
  #fetched: Uint8Array = new Uint8Array(0)
  #address = 0

  constructor(vector: Uint8Array, words: Uint32Array, lengths: Uint32Array) {
    this.#vector = vector
    this.#words = words
    this.#lengths = lengths
  }

  /** The text of a row that has a long one. */
  of(row: number): Uint8Array {
    const length = this.#lengths[row] ?? 0
    let from = this.#addressOf(row) - this.#address
    if (from < 0 || from + length > this.#fetched.length) {
      this.#fetch(row)
      from = 0
    }
    return this.#fetched.subarray(from, from + length)
  }

  /** The text of the row, and those of the next ones for as long as each begins where the one before ends. */
  #fetch(row: number): void {
    this.#address = this.#addressOf(row)
    let bytes = this.#lengths[row] ?? 0
    for (let next = row + 1; next < this.#lengths.length; next++) {
      const length = this.#lengths[next] ?? 0
      if (length <= INLINE_BYTES) continue
      if (this.#addressOf(next) !== this.#address + bytes) break
      bytes += length
    }
    const pointer = this.#vector.byteOffset + row * TEXT_BYTES + 8
    this.#fetched = duckdb.get_data_from_pointer(this.#vector.buffer as ArrayBuffer, pointer, bytes)
  }

  /** Addresses of a process have 47 bits, and so a number holds them. */
  #addressOf(row: number): number {
    return (this.#words[row * 4 + 3] ?? 0) * 2 ** 32 + (this.#words[row * 4 + 2] ?? 0)
  }
}
