import type { Ended, Results, Screen } from '../../examples/live-page/newest-sales.ts'

/** What a live page was told, and waits for more of it. */
export class WatchedScreen implements Screen {
  results: Results | undefined
  /** The places in the line of the intents that have ended, as they were told since the last start. */
  seqs: number[] = []
  starts = 0
  aways = 0
  #waiting: { holds: () => boolean; resolve: () => void }[] = []

  start(results: Results): void {
    this.results = results
    this.seqs = []
    this.starts++
    this.#look()
  }

  update(results: Results, ended: Ended[]): void {
    this.results = results
    for (const { node } of ended) if ('seq' in node) this.seqs.push(Number(node.seq))
    this.#look()
  }

  away(): void {
    this.aways++
    this.#look()
  }

  /** Settles when it holds, which is looked at again whenever something is told. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise(resolve => {
      this.#waiting.push({ holds, resolve })
    })
  }

  #look(): void {
    const waiting = this.#waiting
    this.#waiting = waiting.filter(({ holds }) => !holds())
    for (const { resolve } of waiting.filter(each => !this.#waiting.includes(each))) resolve()
  }
}
