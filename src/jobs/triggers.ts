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
   *
   * Answers with what is to be started: of each function and source at most one waits.
   */
  async due(tx: Transaction, source: string, kind: Kind): Promise<readonly Trigger[]> {
    const triggered = [...this.#kinds.values()].flatMap(reader =>
      [...reader.functions.values()]
        .filter(fn => fn.runsOn === kind.name)
        .map(fn => ({ kind: reader.name, function: names.function(reader, fn.name) })),
    )
    if (triggered.length === 0) return []
    const readers = `SELECT model FROM model_read WHERE reads = $1`
    const [, due] = await Promise.all([
      tx.query(
        `SELECT m.id FROM goal_model m
          WHERE m.id IN (SELECT $1 UNION ALL ${readers})
            AND (m.id = $1 OR (m.deleted_at IS NULL AND m.kind = ANY($2)))
          ORDER BY m.id FOR NO KEY UPDATE OF m`,
        [source, triggered.map(each => each.kind)],
      ),
      // Another statement, which sees what was there once all of them were locked.
      tx.query<Trigger>(
        `SELECT m.id AS model, t.function
           FROM goal_model m JOIN json_to_recordset($2) AS t (kind text, function text) ON t.kind = m.kind
          WHERE m.id IN (${readers}) AND m.id <> $1 AND m.deleted_at IS NULL AND NOT EXISTS (
            SELECT FROM intent i
             WHERE i.model = m.id AND i.function = t.function AND i.source = $1 AND i.status = 'QUEUED')
          ORDER BY m.id`,
        [source, JSON.stringify(triggered)],
      ),
    ])
    return due
  }

  async start(tx: Transaction, source: string, triggers: readonly Trigger[]): Promise<void> {
    await Promise.all(
      triggers.map(({ model, function: name }) =>
        this.#ledger.insert(tx, { model, function: name, arguments: {}, alone: true, source }),
      ),
    )
  }
}

/** A function that is to run on the new version of a model that this one reads. */
export interface Trigger {
  model: string
  function: string
}
