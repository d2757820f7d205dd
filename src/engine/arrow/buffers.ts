/** Bytes one behind the other. Their memory grows as it must, and is used again after `clear`. */
export class Bytes {
  #memory = new Uint8Array(4096)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** What has been written; it holds until the next change. */
  get written(): Uint8Array {
    return this.#memory.subarray(0, this.#length)
  }

  /** So many bytes more, to be written to; what is in them is old. They hold until the next change. */
  extend(bytes: number): Uint8Array {
    const start = this.#length
    this.#length += bytes
    if (this.#length > this.#memory.length) {
      const grown = new Uint8Array(Math.max(this.#length, this.#memory.length * 2))
      grown.set(this.#memory.subarray(0, start))
      this.#memory = grown
    }
    return this.#memory.subarray(start, this.#length)
  }

  clear(): void {
    this.#length = 0
  }
}

/** Bits as Arrow has them, the lowest of a byte first. */
export class Bits {
  readonly #bytes = new Bytes()
  #count = 0
  #zeros = 0

  /** How many of them are 0. */
  get zeros(): number {
    return this.#zeros
  }

  /** With zeros behind the last one. */
  get written(): Uint8Array {
    return this.#bytes.written
  }

  /** Adds the first `count` of the bits; where there are none, so many ones. */
  add(bits: Uint8Array | null, count: number): void {
    const shift = this.#count & 7
    const first = this.#bytes.length - (shift > 0 ? 1 : 0)
    this.#count += count
    this.#bytes.extend(((this.#count + 7) >> 3) - this.#bytes.length).fill(0)
    const into = this.#bytes.written.subarray(first)
    let ones = 0
    for (let index = 0; index * 8 < count; index++) {
      const left = count - index * 8
      const byte = (bits ? (bits[index] ?? 0) : 0xff) & (left < 8 ? (1 << left) - 1 : 0xff)
      ones += ONES[byte] ?? 0
      into[index] = (into[index] ?? 0) | (byte << shift)
      // What goes past the last byte is none of them.
      if (shift > 0 && index + 1 < into.length) into[index + 1] = byte >> (8 - shift)
    }
    this.#zeros += count - ones
  }

  clear(): void {
    this.#bytes.clear()
    this.#count = 0
    this.#zeros = 0
  }
}

/** How many bits of a byte are 1. */
const ONES = Uint8Array.from({ length: 256 }, (_, byte) => byte.toString(2).replaceAll('0', '').length)

export const isSet = (bits: Uint8Array, index: number): boolean => (((bits[index >> 3] ?? 0) >> (index & 7)) & 1) === 1

/** Texts in UTF-8, one behind the other. */
export class Texts {
  readonly #bytes = new Bytes()
  readonly #offsets = new Bytes()

  get bytes(): Uint8Array {
    return this.#bytes.written
  }

  /** Where each begins and the last one ends: 32-bit integers, one more than there are texts. */
  get offsets(): Uint8Array {
    if (this.#offsets.length === 0) this.#offsets.extend(4).fill(0)
    return this.#offsets.written
  }

  /**
   * So many texts more, of those lengths: `bytes` for what is in them, to be written to, and where in it each begins and
   * ends. Both hold until the next change.
   */
  extend(lengths: Uint32Array): { bytes: Uint8Array; ends: Uint32Array } {
    const base = this.#bytes.length
    if (this.#offsets.length === 0) this.#offsets.extend(4).fill(0)
    const room = this.#offsets.extend(lengths.length * 4)
    const offsets = new Int32Array(room.buffer, room.byteOffset, lengths.length)
    const ends = new Uint32Array(lengths.length)
    let end = 0
    for (let index = 0; index < lengths.length; index++) {
      end += lengths[index] ?? 0
      ends[index] = end
      offsets[index] = base + end
    }
    if (base + end > MAX_TEXT_BYTES) throw new Error('these are more bytes of text than one column of a batch can have')
    return { bytes: this.#bytes.extend(end), ends }
  }

  clear(): void {
    this.#bytes.clear()
    this.#offsets.clear()
  }
}

const MAX_TEXT_BYTES = 2 ** 31 - 1
