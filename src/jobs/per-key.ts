/**
 * One run per key at a time. Whoever asks while one is under way is served by one next run, that begins after he asked:
 *
 *   request ─▶ run ───────────────▶ run
 *                └ request, request ┘
 */
export class PerKey {
  readonly #run: (key: string) => Promise<void>
  readonly #running = new Map<string, { again: boolean; ended: Promise<void> }>()
  #isClosed = false

  /** `run` sees to its own errors. */
  constructor(run: (key: string) => Promise<void>) {
    this.#run = run
  }

  request(key: string): void {
    if (this.#isClosed) return
    const running = this.#running.get(key)
    if (running) {
      running.again = true
      return
    }
    const begun = { again: true, ended: Promise.resolve() }
    this.#running.set(key, begun)
    begun.ended = this.#drain(key, begun)
  }

  async #drain(key: string, running: { again: boolean }): Promise<void> {
    while (running.again && !this.#isClosed) {
      running.again = false
      await this.#run(key)
    }
    this.#running.delete(key)
  }

  /** Settles when what is under way has ended; nothing is run after it. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#running.values()].map(({ ended }) => ended))
  }
}
