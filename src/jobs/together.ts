/** What became of one item of a run. */
export type Settled<R> = PromiseSettledResult<R>

/** How much is run at once: so many items, of so many bytes together; one alone may have more. */
export interface Most<T> {
  items: number
  bytes: number
  bytesOf(item: T): number
}

/** Of lookups by id. */
export const LOOKUPS: Most<unknown> = { items: 1000, bytes: Number.POSITIVE_INFINITY, bytesOf: () => 0 }

/**
 * Runs together what came in during the last run: alone an item waits for nobody, and under load many share one
 * transaction. That is group commit, without a timer.
 *
 *   a ─▶ run [a]
 *   b, c, d come in ─ a is done ─▶ run [b, c, d]
 */
export class Together<T, R> {
  readonly #run: (items: readonly T[]) => Promise<Settled<R>[]>
  readonly #most: Most<T>
  #waiting: { item: T; resolve: (result: R) => void; reject: (error: unknown) => void }[] = []
  #isRunning = false

  /** `run` answers for each item, in their order; what it throws is every item's. */
  constructor(run: (items: readonly T[]) => Promise<Settled<R>[]>, most: Most<T>) {
    this.#run = run
    this.#most = most
  }

  get isIdle(): boolean {
    return !this.#isRunning && this.#waiting.length === 0
  }

  add(item: T): Promise<R> {
    const { promise, resolve, reject } = Promise.withResolvers<R>()
    this.#waiting.push({ item, resolve, reject })
    if (!this.#isRunning) void this.#drain()
    return promise
  }

  async #drain(): Promise<void> {
    this.#isRunning = true
    while (this.#waiting.length > 0) {
      const now = this.#waiting.splice(0, this.#fitting())
      try {
        const settled = await this.#run(now.map(({ item }) => item))
        for (const [index, { resolve, reject }] of now.entries()) {
          const result = settled[index]
          if (result?.status === 'fulfilled') resolve(result.value)
          else reject(result?.reason ?? new Error('an item was not answered for'))
        }
      } catch (error) {
        for (const { reject } of now) reject(error)
      }
    }
    this.#isRunning = false
  }

  /** How many of those that wait are run next. */
  #fitting(): number {
    const { items, bytes, bytesOf } = this.#most
    let sum = 0
    const tooMany = this.#waiting.findIndex(({ item }, index) => {
      sum += bytesOf(item)
      return index === items || (index > 0 && sum > bytes)
    })
    return tooMany < 0 ? this.#waiting.length : tooMany
  }
}
