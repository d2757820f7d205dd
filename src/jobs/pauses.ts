/** What has failed, by key, is left alone: at first so long, and twice as long each time in a row, up to the most. Milliseconds. */
export class Pauses<K> {
  readonly #first: number
  readonly #most: number
  readonly #pauses = new Map<K, { until: number; failures: number }>()

  constructor({ first = 1000, most = 60_000 }: { first?: number; most?: number } = {}) {
    this.#first = first
    this.#most = most
  }

  /** Says how long it is left alone now. */
  failed(key: K): number {
    const failures = this.#pauses.get(key)?.failures ?? 0
    const pause = Math.min(this.#first * 2 ** failures, this.#most)
    this.#pauses.set(key, { until: performance.now() + pause, failures: failures + 1 })
    return pause
  }

  /** It is left alone for as long, and not because it failed. */
  rest(key: K, ms: number): void {
    this.#pauses.set(key, { until: performance.now() + ms, failures: 0 })
  }

  clear(key: K): void {
    this.#pauses.delete(key)
  }

  /** Until when it is left alone, on the monotonic clock; 0 where it is not. */
  until(key: K): number {
    return this.#pauses.get(key)?.until ?? 0
  }

  isPaused(key: K): boolean {
    return this.until(key) > performance.now()
  }

  /** Those that are left alone now. */
  paused(): K[] {
    return [...this.#pauses.keys()].filter(key => this.isPaused(key))
  }
}
