import { createHash } from 'node:crypto'
import { TeatreeError } from '../errors.ts'
import type { PutOptions, StoredObject } from './object-store.ts'

/**
 * Settles as `promise` does, or rejects with the signal's reason if that comes first. (A `Promise.race` against one
 * promise that outlives the body would keep a reaction on it for every chunk.)
 */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return promise
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason)
    const settled = () => signal.removeEventListener('abort', aborted)
    promise.then(resolve, reject).then(settled)
    if (signal.aborted) aborted()
    else signal.addEventListener('abort', aborted, { once: true })
  })
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes
}

/** Counts and hashes a body on its way, and holds it to its limits. One meter for one body. */
export class Meter {
  readonly #limits: Omit<PutOptions, 'contentType'>
  readonly #hash = createHash('sha256')
  #bytes = 0
  #sha256: string | null = null

  constructor(limits: Omit<PutOptions, 'contentType'>) {
    this.#limits = limits
  }

  /** Whether the whole body has passed and was found to be as expected. */
  get whole(): boolean {
    return this.#sha256 !== null
  }

  /**
   * The chunks of `body`. Throws what is wrong with them before it ends, so that a sink which commits only at the end
   * commits nothing wrong.
   */
  async *read(body: AsyncIterable<Uint8Array> | Uint8Array): AsyncGenerator<Uint8Array> {
    const { signal } = this.#limits
    const chunks = (body instanceof Uint8Array ? once(body) : body)[Symbol.asyncIterator]()
    try {
      for (;;) {
        const { value, done } = await orAborted(chunks.next(), signal)
        signal?.throwIfAborted()
        if (done) return this.#end()
        this.#take(value)
        yield value
      }
    } finally {
      // Not awaited: a body that is stalled in next() answers return() only after that.
      if (!this.whole) Promise.resolve(chunks.return?.()).catch(() => {})
    }
  }

  #take(chunk: Uint8Array): void {
    const { maxBytes = Number.POSITIVE_INFINITY, expect } = this.#limits
    this.#bytes += chunk.byteLength
    if (this.#bytes > maxBytes) {
      throw new TeatreeError(
        'FILE_TOO_LARGE',
        `The file is larger than ${maxBytes} bytes, which is the most that is taken.`,
      )
    }
    if (expect?.bytes !== undefined && this.#bytes > expect.bytes) {
      throw new TeatreeError('UPLOAD_INCOMPLETE', `More bytes arrived than the ${expect.bytes} that were announced.`)
    }
    this.#hash.update(chunk)
  }

  #end(): void {
    const { expect } = this.#limits
    if (expect?.bytes !== undefined && this.#bytes !== expect.bytes) {
      const message = `${this.#bytes} bytes arrived where ${expect.bytes} were announced.`
      throw new TeatreeError('UPLOAD_INCOMPLETE', message)
    }
    const sha256 = this.#hash.digest('hex')
    if (expect?.sha256 !== undefined && sha256 !== expect.sha256.toLowerCase()) {
      const message = `The bytes that arrived have the SHA-256 ${sha256}; announced was ${expect.sha256}.`
      throw new TeatreeError('CHECKSUM_MISMATCH', message)
    }
    this.#sha256 = sha256
  }

  /** What has passed; for one who has read the body to its end. */
  measured(): Omit<StoredObject, 'key'> {
    if (this.#sha256 === null) throw new Error('The body has not been read to its end')
    return { bytes: this.#bytes, sha256: this.#sha256 }
  }
}
