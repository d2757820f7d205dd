import { type Kind, type Kinds, names } from '../kinds/kind.ts'
import type { Transaction } from '../platform/postgres.ts'
import type { Ledger } from './ledger.ts'

/** The functions that run by themselves on new versions of other models. */
export class Triggers {
  readonly #kinds: Kinds
  readonly #ledger: Ledger

  constructor(kinds: Kinds, ledger: Ledger) {
    this.#kinds = kinds
    this.#ledger = ledger
  }

  /**
   * Locks a model that is about to publish, and those models that read it and have functions that run on its kind. All
   * at once and in the order of their ids, as whoever locks several models does, so that no two publishers wait for each
   * other, whoever reads whom. The lock also orders this against a manager that takes intents: what is QUEUED now will
   * be taken after this transaction, and then reads the version that it publishes.
   */
  async lock(tx: Transaction, source: string, kind: Kind): Promise<{ start(): Promise<void> }> {
    const triggered = [...this.#kinds.values()].flatMap(reader =>
      [...reader.functions.values()]
        .filter(fn => fn.runsOn === kind.name)
        .map(fn => ({ kind: reader.name, function: names.function(reader, fn.name) })),
    )
    if (triggered.length === 0) return { start: async () => {} }
    const locked = await tx.query<{ id: string; kind: string }>(
      `SELECT m.id, m.kind FROM goal_model m
        WHERE m.id IN (SELECT $1 UNION ALL SELECT model FROM model_read WHERE reads = $1)
          AND (m.id = $1 OR (m.deleted_at IS NULL AND m.kind = ANY($2)))
        ORDER BY m.id FOR NO KEY UPDATE OF m`,
      [source, triggered.map(each => each.kind)],
    )
    const readers = locked.filter(({ id }) => id !== source)
    return {
      start: async () => {
        for (const reader of readers)
          for (const each of triggered)
            if (each.kind === reader.kind) await this.#start(tx, source, reader.id, each.function)
      },
    }
  }

  /** At most one waits per function and source. */
  async #start(tx: Transaction, source: string, model: string, name: string): Promise<void> {
    const [waiting] = await tx.query(
      `SELECT FROM intent WHERE model = $1 AND function = $2 AND source = $3 AND status = 'QUEUED'`,
      [model, name, source],
    )
    if (!waiting) await this.#ledger.insert(tx, { model, function: name, arguments: {}, alone: true, source })
  }
}
