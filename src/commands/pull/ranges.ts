import { UsageError } from '../../platform/errors.ts'
import { boundedText } from '../bounded-body.ts'
import { authorization, type Server } from '../client.ts'
import { refusal, VersionMoved } from './remote-version.ts'

/** So long a server may be silent in the middle of a body. */
const SILENCE_MS = 60_000
const MAX_REFUSAL_BYTES = 64 * 1024

/** A try that failed, and may do better the next time. */
export class Interrupted extends Error {
  override readonly name = 'Interrupted'
}

/** How often the store has failed a pull, over all of its files. */
export interface StoreTrouble {
  failures: number
}

/** After so many the server itself is asked: perhaps it alone can reach the store. */
const MOST_FAILURES = 2

/** One file on a server, in ranges. Where the server sends us to its store we ask there, and the store gets no token. */
export class Ranges {
  readonly #server: Server
  readonly #url: string
  readonly #bytes: number
  readonly #tag: string
  /** Where the server sent us: good for a while. */
  #store: string | null = null
  readonly #trouble: StoreTrouble

  constructor(
    server: Server,
    of: { url: string; bytes: number; sha256: string },
    trouble: StoreTrouble = { failures: 0 },
  ) {
    this.#server = server
    this.#trouble = trouble
    this.#url = of.url
    this.#bytes = of.bytes
    this.#tag = `"${of.sha256}"`
  }

  /**
   * The bytes `[start, end)`, as they come.
   * @throws Interrupted, also in the middle; VersionMoved; UsageError
   */
  async *read(start: number, end: number, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const silence = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const heard = () => {
      clearTimeout(timer)
      timer = setTimeout(() => silence.abort(), SILENCE_MS)
    }
    try {
      const { body } = await this.#ask(start, end, AbortSignal.any([signal, silence.signal]))
      heard()
      let left = end - start
      for await (const chunk of body ?? []) {
        heard()
        // More than was asked for would be written where it does not belong.
        yield chunk.subarray(0, left)
        left -= Math.min(left, chunk.length)
        if (left === 0) return
      }
      throw new Interrupted('the answer is shorter than it said')
    } catch (error) {
      signal.throwIfAborted()
      if (this.#store !== null) this.#storeFailed(1)
      if (error instanceof VersionMoved || error instanceof UsageError || error instanceof Interrupted) throw error
      throw new Interrupted('the connection broke', { cause: error })
    } finally {
      clearTimeout(timer)
    }
  }

  async #ask(start: number, end: number, signal: AbortSignal): Promise<Response> {
    const range = `bytes=${start}-${end - 1}`
    const response =
      this.#store === null
        ? await this.#askServer(range, signal)
        : await fetch(this.#store, { headers: { range }, signal })
    if (response.status === 206) {
      if (response.headers.get('content-range') === `bytes ${start}-${end - 1}/${this.#bytes}`) return response
      throw new VersionMoved('the file has another length by now')
    }
    // An address that has run out, a store that is busy: the server gives another.
    const again = this.#store !== null || response.status === 429 || response.status >= 500
    const moved = response.status === 200 || response.status === 416
    if (again || moved) {
      await response.body?.cancel()
      throw again ? new Interrupted(`answered with ${response.status}`) : new VersionMoved('the file is another by now')
    }
    const body = await boundedText(response, MAX_REFUSAL_BYTES)
    throw refusal(this.#server, response.status, body)
  }

  /** Follows by hand: what `fetch` follows it follows with the headers that it was given. */
  async #askServer(range: string, signal: AbortSignal): Promise<Response> {
    const from = this.#trouble.failures >= MOST_FAILURES ? '?from=server' : ''
    // Whoever keeps a copy on the way asks the server whether it is still the file before he gives a part of it.
    const headers = { ...authorization(this.#server), range, 'if-range': this.#tag, 'cache-control': 'no-cache' }
    const response = await fetch(this.#url + from, { headers, redirect: 'manual', signal })
    const location = response.headers.get('location')
    if (response.status < 300 || response.status >= 400 || location === null) return response
    await response.body?.cancel()
    const store = URL.parse(location, this.#url)
    if (!store || !/^https?:$/.test(store.protocol))
      throw new UsageError(`${this.#server.url} leads to an address that is none; is it a Teatree server?`)
    this.#store = store.href
    return fetch(this.#store, { headers: { range }, signal })
  }

  /** What was read is not what its checksum says: a store that gave it would give it again. */
  wasWrong(): void {
    if (this.#store !== null) this.#storeFailed(MOST_FAILURES)
  }

  #storeFailed(times: number): void {
    this.#store = null
    this.#trouble.failures += times
  }
}
