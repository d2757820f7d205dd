import { setTimeout as wait } from 'node:timers/promises'
import { UsageError } from '../../platform/errors.ts'

export interface PatienceOptions {
  /** Failures in a row, without a byte between them, before it is given up. */
  tries?: number
  /** Milliseconds before the first new try; doubled from then on. */
  firstMs?: number
  signal?: AbortSignal
}

const MOST_MS = 10_000

/** How often something that keeps breaking off is tried again. What gets on is not given up. */
export class Patience {
  readonly #tries: number
  readonly #firstMs: number
  readonly #signal: AbortSignal | undefined
  #failures = 0

  constructor({ tries = 8, firstMs = 100, signal }: PatienceOptions) {
    this.#tries = tries
    this.#firstMs = firstMs
    this.#signal = signal
  }

  gotOn(): void {
    this.#failures = 0
  }

  /** Waits before the next try; throws where there is none. */
  async failed(cause: unknown, what: string): Promise<void> {
    if (this.#signal?.aborted) throw stopped()
    const ms = Math.min(this.#firstMs * 2 ** this.#failures, MOST_MS)
    this.#failures++
    if (this.#failures > this.#tries) throw new UsageError(what, { cause })
    await wait(ms, undefined, { signal: this.#signal }).catch(() => {
      throw stopped()
    })
  }
}

const stopped = () => new UsageError('stopped; the same command goes on from here')
