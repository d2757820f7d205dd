import { TeatreeError } from '../../platform/errors.ts'

/**
 * Lets so many in at once and makes the others wait in the order they came. DuckDB's calls each hold a thread of
 * libuv's pool until they are done, and the whole process (files, DNS) stands still when all are taken.
 */
export class Admission {
  readonly #places: number
  readonly #maxWaiting: number
  readonly #waiting = new Set<() => void>()
  #taken = 0

  constructor(options: { places: number; maxWaiting: number }) {
    this.#places = options.places
    this.#maxWaiting = options.maxWaiting
  }

  /**
   * Waits for a place and does the work in it. Rejects with the signal's reason where it is aborted before a place is
   * free, and with UNAVAILABLE where too many are waiting already, unless it `mustRun`.
   */
  async run<T>(
    work: () => Promise<T>,
    { signal, mustRun = false }: { signal?: AbortSignal | undefined; mustRun?: boolean } = {},
  ): Promise<T> {
    signal?.throwIfAborted()
    if (this.#taken < this.#places) this.#taken += 1
    else if (mustRun || this.#waiting.size < this.#maxWaiting) await this.#wait(signal)
    else throw new TeatreeError('UNAVAILABLE', 'too many reads are waiting; try again later')
    try {
      return await work()
    } finally {
      this.#leave()
    }
  }

  #wait(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const enter = () => {
        signal?.removeEventListener('abort', giveUp)
        resolve()
      }
      const giveUp = () => {
        this.#waiting.delete(enter)
        reject(signal?.reason)
      }
      this.#waiting.add(enter)
      signal?.addEventListener('abort', giveUp, { once: true })
    })
  }

  /** The place goes to the next in line without becoming free, so that nobody overtakes. */
  #leave(): void {
    const [next] = this.#waiting
    if (!next) {
      this.#taken -= 1
      return
    }
    this.#waiting.delete(next)
    next()
  }
}

/**
 * How many calls may hold a thread of the pool at once: one thread, of a larger pool two, is left to files, DNS and the
 * rest. The pool's size is set before the process starts and never changes.
 */
export function readPlaces(poolSize = Number(process.env.UV_THREADPOOL_SIZE) || 4): number {
  return Math.max(1, poolSize - (poolSize > 4 ? 2 : 1))
}
