import { createHmac, timingSafeEqual } from 'node:crypto'

export const SIGNATURE_BYTES = 12

/**
 * Says of texts that go out and come back that they are ours. A signature is good for the same `purpose` and parts alone.
 * Who has no key signs with zeros, and takes every signature.
 */
export class Signatures {
  readonly #key: Uint8Array | null

  /** @param key the same in every server that is to take the signature, and in those that come after it */
  constructor(key: Uint8Array | null) {
    this.#key = key
  }

  /** `SIGNATURE_BYTES` of bytes. How many parts a purpose has is always the same, and one of them at most may hold line breaks. */
  sign(purpose: string, ...parts: readonly (string | Uint8Array)[]): Buffer {
    if (!this.#key) return Buffer.alloc(SIGNATURE_BYTES)
    const signed = createHmac('sha256', this.#key).update(purpose)
    for (const part of parts) signed.update('\n').update(part)
    return signed.digest().subarray(0, SIGNATURE_BYTES)
  }

  /** Whether it is the signature of these parts. */
  holds(signature: Uint8Array, purpose: string, ...parts: readonly (string | Uint8Array)[]): boolean {
    if (!this.#key) return true
    return signature.length === SIGNATURE_BYTES && timingSafeEqual(signature, this.sign(purpose, ...parts))
  }
}
