import type { SnapshotFile, TableRows } from '../engine/engine.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import { names } from '../kinds/kind.ts'
import type { Database, Transaction } from '../platform/postgres.ts'
import { notifyEnded, notifyModel } from './channel.ts'
import { type Ledger, logCompletions } from './ledger.ts'
import type { Queue } from './queue.ts'
import type { IntentError, Model } from './records.ts'

/** What became of one intent of a batch. */
export type Ending =
  | { intent: string; status: 'PUBLISHED'; result: Readonly<Record<string, unknown>> }
  | { intent: string; status: 'FAILED' | 'PARKED'; error: IntentError }

export interface Publication {
  model: string
  kind: Kind
  epoch: number
  /** The version published before this one. */
  after: number
  /** In the order of seq. */
  endings: readonly Ending[]
  /** seq of the last of them. */
  lastSeq: bigint
  /** Null where no intent succeeded: then there is no new version. */
  snapshot: { dir: string; files: readonly SnapshotFile[]; tables: readonly TableRows[] } | null
}

/** Another manager holds the model now; whatever this one still wanted is refused. */
export class Fenced extends Error {
  override readonly name = 'Fenced'
}

/**
 * The one transaction that makes a version visible, together with the outcomes of its intents, their completions, the
 * content index, the triggers it starts, and the settling of their jobs. The files are complete and on disk before.
 */
export class Publisher {
  readonly #db: Database
  readonly #ledger: Ledger
  readonly #queue: Queue
  readonly #kinds: Kinds

  constructor(deps: { db: Database; ledger: Ledger; queue: Queue; kinds: Kinds }) {
    this.#db = deps.db
    this.#ledger = deps.ledger
    this.#queue = deps.queue
    this.#kinds = deps.kinds
  }

  /** Answers with the newest version, new or not. Throws Fenced where the epoch is over. */
  async publish(publication: Publication): Promise<number> {
    const { epoch, after, snapshot } = publication
    const version = snapshot ? after + 1 : after
    try {
      await this.#db.transaction(tx => this.#write(tx, publication, version))
    } catch (error) {
      // COMMIT was sent and its answer lost: only the state can tell. An intent that has ended was ended by that commit.
      const first = publication.endings[0]
      if (first && (error as { details?: { outcome?: unknown } }).details?.outcome === 'unknown') {
        const [seen] = await this.#db.query<{ ended: boolean; epoch: number }>(
          `SELECT i.ended_at IS NOT NULL AS ended, m.epoch FROM intent i JOIN goal_model m ON m.id = i.model WHERE i.id = $1`,
          [first.intent],
        )
        if (seen?.ended && seen.epoch === epoch) return version
      }
      throw error
    }
    return version
  }

  async #write(
    tx: Transaction,
    { model, kind, epoch, after, endings, lastSeq, snapshot }: Publication,
    version: number,
  ) {
    const [held] = await tx.query<Pick<Model, 'id'>>(
      `UPDATE goal_model SET version = $4, last_seq = greatest(last_seq, $5), blocked = NULL, retry_at = NULL,
              shape = CASE WHEN $4 > $3 THEN $6::jsonb ELSE shape END
        WHERE id = $1 AND epoch = $2 AND version = $3 AND deleted_at IS NULL RETURNING id`,
      [model, epoch, after, version, lastSeq, JSON.stringify(kind.shape)],
    )
    if (!held) throw new Fenced(`model ${model} is no longer held by epoch ${epoch}`)
    const completions = await logCompletions(
      tx,
      model,
      endings.map(({ intent }) => intent),
    )
    if (snapshot) await this.#insertVersion(tx, { model, version, epoch, lastSeq, completions, snapshot })
    const ended = await tx.query(
      `UPDATE intent i SET status = e.status, result = e.result, error = e.error, ended_at = clock_timestamp(),
              version = CASE WHEN e.status = 'PUBLISHED' THEN $2::integer END,
              progress = CASE WHEN e.status = 'PUBLISHED' THEN 1 ELSE i.progress END
         FROM json_to_recordset($3) AS e (intent uuid, status text, result json, error json)
        WHERE i.id = e.intent AND i.model = $1 AND i.status = 'RUNNING' RETURNING i.id`,
      [model, version, JSON.stringify(endings)],
    )
    if (ended.length !== endings.length) throw new Fenced(`intents of model ${model} have ended in another way`)
    await this.#queue.settle(
      tx,
      model,
      endings.map(({ intent }) => intent),
    )
    if (snapshot) await this.#startTriggers(tx, model, kind)
    await notifyEnded(tx, model)
    await notifyModel(tx, model)
  }

  async #insertVersion(
    tx: Transaction,
    of: {
      model: string
      version: number
      epoch: number
      lastSeq: bigint
      completions: bigint
      snapshot: NonNullable<Publication['snapshot']>
    },
  ): Promise<void> {
    const { model, version, epoch, lastSeq, completions, snapshot } = of
    await tx.query(
      'INSERT INTO model_version (model, version, epoch, last_seq, completions, tables) VALUES ($1, $2, $3, $4, $5, $6)',
      [model, version, epoch, lastSeq, completions, JSON.stringify(snapshot.tables)],
    )
    await tx.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256)
       SELECT $1, $2, 'DUCKDB', f.name, $3 || '/' || f.name, f.bytes, f.sha256
         FROM json_to_recordset($4) AS f (name text, bytes bigint, sha256 text)`,
      [model, version, `file://${snapshot.dir}`, JSON.stringify(snapshot.files)],
    )
  }

  /**
   * Starts, in the models that read this one, the functions that run on its kind: at most one waiting per function and
   * source. Readers' rows are locked in the order of their ids, and reading has no circles, so two publishers never
   * wait for each other. The lock also orders this against a manager that takes intents: what is QUEUED here will be
   * taken after this commit, and then reads this version.
   */
  async #startTriggers(tx: Transaction, source: string, kind: Kind): Promise<void> {
    const triggered = [...this.#kinds.values()].flatMap(reader =>
      [...reader.functions.values()].filter(fn => fn.runsOn === kind.name).map(fn => ({ reader, fn })),
    )
    if (triggered.length === 0) return
    const readers = await tx.query<{ id: string; kind: string }>(
      `SELECT m.id, m.kind FROM model_read r JOIN goal_model m ON m.id = r.model
        WHERE r.reads = $1 AND m.deleted_at IS NULL AND m.kind = ANY($2) ORDER BY m.id FOR NO KEY UPDATE OF m`,
      [source, triggered.map(({ reader }) => reader.name)],
    )
    for (const model of readers)
      for (const { reader, fn } of triggered) {
        if (reader.name !== model.kind) continue
        const name = names.function(reader, fn.name)
        const [waiting] = await tx.query(
          `SELECT FROM intent WHERE model = $1 AND function = $2 AND source = $3 AND status = 'QUEUED'`,
          [model.id, name, source],
        )
        if (!waiting)
          await this.#ledger.insert(tx, { model: model.id, function: name, arguments: {}, alone: true, source })
      }
  }
}
