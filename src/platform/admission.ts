import { TeatreeError } from './errors.ts'

/** Lets so many in at once and makes the others wait in the order they came. */
export class Admission {
  readonly #places: number
  readonly #maxWaiting: number
  readonly #what: string
  readonly #waiting = new Set<() => void>()
  #taken = 0

  /** @param options `what` is it that waits, as the refusal calls it: `reads` */
  constructor(options: { places: number; maxWaiting: number; what: string }) {
    this.#places = options.places
    this.#maxWaiting = options.maxWaiting
    this.#what = options.what
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
    else throw new TeatreeError('UNAVAILABLE', `too many ${this.#what} are waiting; try again later`)
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
