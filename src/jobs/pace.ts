/** Of a busy line's time, publishing takes at most this part: then the versions that readers must open do not grow with the load. */
const SHARE = 1 / 3
/** Nobody waits longer than this for others to come. */
const MOST_MS = 250

/**
 * How many versions a second a line makes, by what they have cost. What comes alone waits for nothing; where several came
 * while the last version was being made, more are coming, and the next ones wait for each other. Functions and imports can
 * share no version, and are not kept waiting:
 *
 *   alone   │publish│  │publish│      │publish│
 *   flood   │publish│·········│publish│·········│publish│       · what comes here shares the next version
 */
export class Pace {
  #costMs = 0
  #until = 0

  /** A version was made of a batch; instants are on the monotonic clock. `more`: others waited that could not share it. */
  published(batch: { intents: number; more: boolean; startedAt: number; endedAt: number }): void {
    const cost = batch.endedAt - batch.startedAt
    this.#costMs = this.#costMs === 0 ? cost : (this.#costMs + cost) / 2
    // Where there is a next batch already, nothing is won by waiting.
    const rests = batch.intents > 1 && !batch.more
    this.#until = rests ? batch.startedAt + Math.min(this.#costMs / SHARE, MOST_MS) : 0
  }

  /** How long the next batch is to wait, in milliseconds. */
  restMs(now: number): number {
    return Math.max(0, this.#until - now)
  }
}
