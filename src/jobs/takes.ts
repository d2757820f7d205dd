import { reach } from '../platform/kill-points.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import type { Intent } from './records.ts'
import { giveBack, type Taken, takeBatch } from './take.ts'

/**
 * The batches of one line, in their order. While row writes are applied, those that wait behind them are taken: the manager
 * and PostgreSQL are at work at the same time.
 *
 *   take 1 │ apply 1 ─ publish 1 │ apply 2 ─ publish 2 │ apply 3
 *          │ take 2              │ take 3              │
 *
 * A batch that is not ended goes back to the line, and so does what was taken behind it.
 */
export class Takes {
  readonly #deps: { db: Database; log: Log; model: string; epoch: number }
  #behind: Promise<Taken | null> | null = null

  constructor(deps: { db: Database; log: Log; model: string; epoch: number }) {
    this.#deps = deps
  }

  /** `singly`: see takeBatch. What was taken behind another batch with nothing behind itself is joined by what has come since. */
  async next(singly: boolean): Promise<Taken> {
    const behind = await this.#behind
    const last = behind?.batch.at(-1)
    const taken = await (behind?.more ? behind : this.#take(singly, last?.seq ?? 0n))
    this.#behind = null
    return behind && taken !== behind ? { ...taken, batch: [...behind.batch, ...taken.batch] } : taken
  }

  /** Begins to take the row writes that wait behind a batch that is about to be applied. */
  takeBehind({ batch, moreRows }: Taken): void {
    const last = batch.at(-1)
    if (!last || last.alone || !moreRows) return
    // What fails of it is met as the next batch is taken, if it still does.
    this.#behind = this.#takeBehind(last.seq).catch(() => null)
  }

  async #takeBehind(seq: bigint): Promise<Taken> {
    const taken = await this.#take(false, seq)
    if (taken.batch.length > 0) reach('batch.taken-behind')
    return taken
  }

  #take(singly: boolean, behind: bigint): Promise<Taken> {
    const { db, model, epoch } = this.#deps
    return takeBatch(db, { model, epoch, singly, behind })
  }

  /**
   * Gives back a batch that was not ended, where there is one, and what was taken behind it. Where this cannot be said, they are
   * taken again as they are, RUNNING.
   */
  async giveBack(batch: readonly Intent[]): Promise<void> {
    const { db, log, model, epoch } = this.#deps
    const behind = await this.#behind
    this.#behind = null
    for (const taken of [batch, behind?.batch ?? []])
      if (taken.length > 0)
        await giveBack(db, { model, epoch, batch: taken }).catch(error =>
          log.warn({ model, err: error }, 'a batch was not given back'),
        )
  }
}
