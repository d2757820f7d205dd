import type { SnapshotFile, TableRows } from '../engine/engine.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import { reach } from '../platform/kill-points.ts'
import { type Database, type Transaction, unestimated } from '../platform/postgres.ts'
import { notifyEnded } from './channel.ts'
import { logCompletions } from './completion-log.ts'
import type { Ledger } from './ledger.ts'
import type { Queue } from './queue.ts'
import type { IntentError } from './records.ts'
import { Triggers } from './triggers.ts'

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
  /** seq of the last of them; 0 where there are none. */
  lastSeq: bigint
  /** Null where nothing has changed: then there is no new version. */
  snapshot: { dir: string; files: readonly SnapshotFile[]; tables: readonly TableRows[] } | null
}

/** What a publication came to. */
export interface Published {
  /** The newest version, new or not. */
  version: number
  /** Of each intent, the seconds from its acceptance to its end, both told by the database's clock. */
  seconds: ReadonlyMap<string, number>
}

/** Another manager holds the model now; whatever this one still wanted is refused. */
export class Fenced extends Error {
  override readonly name: string = 'Fenced'
}

/** What is to be done takes another epoch, which this manager can have at once: nobody else holds the model. */
export class EpochSpent extends Fenced {
  override readonly name = 'EpochSpent'
}

/**
 * The one transaction that makes a version visible, together with the outcomes of its intents, their completions, the
 * content index, the triggers it starts, and the settling of their jobs. The files are complete and on disk before.
 */
export class Publisher {
  readonly #db: Database
  readonly #queue: Queue
  readonly #triggers: Triggers

  constructor(deps: { db: Database; ledger: Ledger; queue: Queue; kinds: Kinds }) {
    this.#db = deps.db
    this.#queue = deps.queue
    this.#triggers = new Triggers(deps.kinds, deps.ledger)
  }

  /** Throws Fenced where the epoch is over. */
  async publish(publication: Publication): Promise<Published> {
    try {
      return await this.#db.transaction(tx => this.#write(tx, publication))
    } catch (error) {
      if ((error as { details?: { outcome?: unknown } }).details?.outcome !== 'unknown') throw error
      const published = await this.#committed(publication)
      if (published === null) throw error
      return published
    }
  }

  /**
   * COMMIT was sent and its answer lost: only the state can tell. Intents of this epoch that have ended were ended by
   * that commit. Null where it did not come about, or somebody else has the model by now.
   */
  async #committed({ model, epoch, after, endings, snapshot }: Publication): Promise<Published | null> {
    const version = after + (snapshot ? 1 : 0)
    const [held] = await this.#db.query('SELECT FROM goal_model WHERE id = $1 AND epoch = $2 AND version = $3', [
      model,
      epoch,
      version,
    ])
    if (snapshot && !held) return null
    const ended = await this.#db.query<Ended>(
      `SELECT ${ENDED} FROM intent i JOIN goal_model m ON m.id = i.model
        WHERE i.id = ANY($1) AND i.ended_at IS NOT NULL AND m.epoch = $2`,
      [endings.map(({ intent }) => intent), epoch],
    )
    if (ended.length !== endings.length) return null
    return { version, seconds: secondsOf(ended) }
  }

  async #write(tx: Transaction, publication: Publication): Promise<Published> {
    const { model, kind, after, endings, snapshot } = publication
    const intents = endings.map(({ intent }) => intent)
    // All goes out at once and is run in this order, and the first that fails says why.
    const due = snapshot && this.#triggers.due(tx, model, kind)
    const moving = this.#moveOn(tx, publication)
    const writing = Promise.all([
      logCompletions(tx, model, intents),
      // Their ids are given twice: what is made of JSON is taken for a hundred rows, for which a ledger may be read to its end. And
      // they are compared as text: each of those rows could be looked up by itself, and through the whole list for each.
      tx.query<Ended>(
        `UPDATE intent i SET status = e.status, result = e.result, error = e.error, ended_at = clock_timestamp(),
                version = CASE WHEN e.status = 'PUBLISHED' THEN $2::integer END,
                progress = CASE WHEN e.status = 'PUBLISHED' THEN 1 ELSE i.progress END
           FROM json_to_recordset($3) AS e (intent text, status text, result json, error json)
          WHERE i.id = ANY($4) AND i.id::text = e.intent AND ${unestimated("i.model = $1 AND i.status = 'RUNNING'")} RETURNING ${ENDED}`,
        [model, after + 1, JSON.stringify(endings), intents],
      ),
      snapshot && insertVersion(tx, publication, snapshot),
      this.#queue.settle(tx, model, intents),
      notifyEnded(tx, model),
    ])
    for (const each of [due, moving, writing]) each?.catch(() => {})
    const triggers = await due
    const { version } = await moving
    const [, ended] = await writing
    if (ended.length !== endings.length) throw new Fenced(`intents of model ${model} have ended in another way`)
    if (triggers) await this.#triggers.start(tx, model, triggers)
    reach('publish.written')
    return { version, seconds: secondsOf(ended) }
  }

  /** Moves the model's row on, where it is still this epoch's and, for a new version, at the one before. */
  async #moveOn(
    tx: Transaction,
    { model, kind, epoch, after, lastSeq, snapshot }: Publication,
  ): Promise<{ version: number }> {
    const [held] = await tx.query<{ version: number }>(
      `UPDATE goal_model
          SET version = version + $4, last_seq = greatest(last_seq, $5), blocked = NULL, retry_at = NULL,
              shape = CASE WHEN $4 > 0 THEN $6::jsonb ELSE shape END
        WHERE id = $1 AND epoch = $2 AND ($4 = 0 OR version = $3) AND deleted_at IS NULL
        RETURNING version`,
      [model, epoch, after, snapshot ? 1 : 0, lastSeq, JSON.stringify(kind.shape)],
    )
    if (!held) throw new Fenced(`model ${model} is no longer held by epoch ${epoch}`)
    return held
  }
}

interface Ended {
  id: string
  seconds: number
}
const ENDED = 'i.id, extract(epoch FROM i.ended_at - i.submitted_at)::float8 AS seconds'
const secondsOf = (ended: readonly Ended[]) => new Map(ended.map(({ id, seconds }) => [id, seconds]))

/** Behind what moves the model's row on, of which it takes seq and position. */
async function insertVersion(
  tx: Transaction,
  { model, epoch, after }: Publication,
  { dir, files, tables }: NonNullable<Publication['snapshot']>,
): Promise<void> {
  await Promise.all([
    tx.query(
      `INSERT INTO model_version (model, version, epoch, last_seq, completions, tables)
       SELECT id, $2, $3, last_seq, completions, $4 FROM goal_model WHERE id = $1`,
      [model, after + 1, epoch, JSON.stringify(tables)],
    ),
    tx.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256)
     SELECT m.id, $2, m.engine, f.name, $3 || '/' || f.name, f.bytes, f.sha256
       FROM goal_model m, json_to_recordset($4) AS f (name text, bytes bigint, sha256 text) WHERE m.id = $1`,
      [model, after + 1, `file://${dir}`, JSON.stringify(files)],
    ),
  ])
}
