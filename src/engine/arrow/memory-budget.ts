import { TeatreeError } from '../../platform/errors.ts'

/** Reads that may wait for memory before UNAVAILABLE is answered. */
const MAX_WAITING = 5_000

interface Waiting {
  bytes: number
  enter(): void
}

/** What is asked for needs more than there is, however long it waits. */
export class TooMuchMemory extends TeatreeError {
  constructor() {
    super('QUERY_TOO_EXPENSIVE', 'the query needs more memory than it may have; select less')
  }
}

/**
 * The memory of Polars' reads together. Polars itself knows no bound, and the process would be ended: so each read has what it may
 * need at most set aside before it begins, and waits for that in the order in which they came.
 */
export class MemoryBudget {
  /** All there is. */
  readonly bytes: number
  readonly #waiting = new Set<Waiting>()
  #free: number

  constructor(bytes: number) {
    this.bytes = bytes
    this.#free = bytes
  }

  /**
   * @throws TooMuchMemory where it is more than all there is; TeatreeError UNAVAILABLE where too many are waiting; the signal's
   *   reason where that is aborted before there is enough
   */
  async run<T>(bytes: number, work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (bytes > this.bytes) throw new TooMuchMemory()
    if (this.#waiting.size === 0 && bytes <= this.#free) this.#free -= bytes
    else await this.#wait(bytes, signal)
    try {
      return await work()
    } finally {
      this.#free += bytes
      this.#admit()
    }
  }

  #wait(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#waiting.size >= MAX_WAITING)
      throw new TeatreeError('UNAVAILABLE', 'too many reads are waiting; try again later')
    return new Promise((resolve, reject) => {
      const waiting: Waiting = {
        bytes,
        enter: () => {
          signal.removeEventListener('abort', giveUp)
          resolve()
        },
      }
      const giveUp = () => {
        this.#waiting.delete(waiting)
        // Those behind it may be smaller.
        this.#admit()
        reject(signal.reason)
      }
      this.#waiting.add(waiting)
      signal.addEventListener('abort', giveUp, { once: true })
    })
  }

  #admit(): void {
    for (const waiting of this.#waiting) {
      if (waiting.bytes > this.#free) return
      this.#free -= waiting.bytes
      this.#waiting.delete(waiting)
      waiting.enter()
    }
  }
}
