import { Readable } from 'node:stream'
import { TeatreeError } from '../errors.ts'
import { storeFault } from './s3-faults.ts'

/** Asks for the object's bytes from `from` on, of the same state of the object as before. */
export type AskAgain = (from: number, signal: AbortSignal) => Promise<Readable>

const ATTEMPTS = 4

/** An error before anybody reads would end the process; whoever reads afterwards is still told of it. */
function quiet(part: Readable): Readable {
  return part.on('error', () => {})
}

/**
 * An object's bytes `[at, end)`. Where the connection breaks or falls silent on the way, the rest is asked for again, a
 * few times without a byte in between; so a long download outlives a short outage.
 */
export class ResumingBody extends Readable {
  readonly #again: AskAgain
  readonly #end: number
  readonly #stop = new AbortController()
  #at: number
  #part: Readable
  #chunks: AsyncIterator<Uint8Array>
  #failures = 0

  constructor(first: Readable, range: { at: number; end: number }, again: AskAgain) {
    super()
    this.#at = range.at
    this.#end = range.end
    this.#again = again
    this.#part = quiet(first)
    this.#chunks = first[Symbol.asyncIterator]()
  }

  override _read(): void {
    this.#next().then(
      chunk => this.push(chunk),
      error => this.destroy(error),
    )
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#stop.abort()
    this.#part.destroy()
    done(error)
  }

  async #next(): Promise<Uint8Array | null> {
    for (;;) {
      try {
        const { value, done } = await this.#chunks.next()
        if (!done) {
          this.#failures = 0
          this.#at += value.byteLength
          return value
        }
        if (this.#at >= this.#end) return null
        throw new TeatreeError('UNAVAILABLE', 'The object store ended its answer too early.')
      } catch (error) {
        if (this.destroyed || ++this.#failures === ATTEMPTS) throw storeFault(error)
      }
      await this.#resume()
    }
  }

  async #resume(): Promise<void> {
    this.#part.destroy()
    try {
      this.#part = quiet(await this.#again(this.#at, this.#stop.signal))
    } catch (error) {
      throw storeFault(error) // the client has tried several times
    }
    this.#chunks = this.#part[Symbol.asyncIterator]()
    if (this.destroyed) this.#part.destroy()
  }
}
