import type { KeyedTable } from './key-ranges.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/** At least. A full file has 16: of 2,000 keys that are in none of the files, one is looked for in a file in vain. */
const BITS_PER_KEY = 12
const PROBES = 7
const SEEDS = [0x7ea, 0x7ee, 0x1eaf, 0x5eed] as const

/** More keys are looked at one share after the other: Polars does not spill. */
export const KEYS_AT_ONCE = 1 << 19

export const keyStruct = (table: KeyedTable): Expr => pl.struct(table.key.map(name => pl.col(name)))

/** Equal keys have the same hash in this process, in whatever frame they are. */
export const keyHash = (table: KeyedTable): Expr => keyStruct(table).hash(...SEEDS)

/** Whether a key is of one of so many shares, numbered from 0, which are about as large; equal ones are of the same. */
export const shareOfKeys = (table: KeyedTable, share: number, shares: number): Expr =>
  shareOf(keyHash(table), share, shares)

/** The same of a hash. */
export const shareOf = (hash: Expr, share: number, shares: number): Expr =>
  asHash(hash)
    .modulo(asHash(pl.lit(shares)))
    .eq(asHash(pl.lit(share)))

/** Until it is computed, Polars takes the hash of a struct for a struct. */
export const asHash = (hash: Expr): Expr => hash.cast(pl.UInt64)

/** Keys of a frame as hashes of 64 bits, each as its two halves. */
export async function keyHashes(table: KeyedTable, frame: LazyDataFrame): Promise<Uint32Array> {
  const hashed = await frame.select(keyHash(table).alias('hash')).collect()
  const hashes = hashed.getColumn('hash').toTypedArray() as BigUint64Array
  return new Uint32Array(hashes.buffer, hashes.byteOffset, hashes.length * 2)
}

/**
 * Tells of most keys that are not in a file that they are not, without looking (a Bloom filter): of keys that come in no
 * order, their ranges say nothing.
 */
export class KeyFilter {
  readonly #bits: Uint32Array
  /** A power of two less one. */
  readonly #mask: number

  /** @param hashes of the file's keys */
  constructor(hashes: Uint32Array) {
    const size = 2 ** Math.max(5, Math.ceil(Math.log2((hashes.length / 2) * BITS_PER_KEY + 1)))
    const bits = new Uint32Array(size / 32)
    const mask = size - 1
    for (let at = 0; at < hashes.length; at += 2) {
      const step = (hashes[at + 1] ?? 0) | 1
      for (let probe = 0, hash = hashes[at] ?? 0; probe < PROBES; probe++, hash = (hash + step) | 0) {
        const bit = hash & mask
        bits[bit >>> 5] = (bits[bit >>> 5] ?? 0) | (1 << (bit & 31))
      }
    }
    this.#bits = bits
    this.#mask = mask
  }

  /** Whether any of the keys may be in the file. */
  mayHoldAny(hashes: Uint32Array): boolean {
    for (let at = 0; at < hashes.length; at += 2) if (this.#mayHold(hashes[at] ?? 0, hashes[at + 1] ?? 0)) return true
    return false
  }

  #mayHold(low: number, high: number): boolean {
    const step = high | 1
    for (let probe = 0, hash = low; probe < PROBES; probe++, hash = (hash + step) | 0) {
      const bit = hash & this.#mask
      if (((this.#bits[bit >>> 5] ?? 0) & (1 << (bit & 31))) === 0) return false
    }
    return true
  }
}
