import { reach } from '../platform/kill-points.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { throughOutages } from './outages.ts'
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
  /** What is yet to be given back, by id. It may have been taken again, and have ended: then it is not RUNNING any more. */
  readonly #owed = new Map<string, Intent>()

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
    const { log, model } = this.#deps
    await this.#owe(batch)
    await this.#settle().catch(error => log.warn({ model, err: error }, 'a batch was not given back'))
  }

  /**
   * Gives back what was taken as soon as the database can be told: the next manager would look for what this one has died of.
   * Where the process stops, it is told now or not at all.
   */
  async close(stopping: AbortSignal): Promise<void> {
    await this.#owe([])
    await throughOutages(() => this.#settle(), stopping)
  }

  async #owe(batch: readonly Intent[]): Promise<void> {
    const behind = await this.#behind
    this.#behind = null
    for (const intent of [...batch, ...(behind?.batch ?? [])]) this.#owed.set(intent.id, intent)
  }

  async #settle(): Promise<void> {
    if (this.#owed.size === 0) return
    const { db, model, epoch } = this.#deps
    await giveBack(db, { model, epoch, batch: [...this.#owed.values()] })
    this.#owed.clear()
  }
}
