import { createHash, randomUUID } from 'node:crypto'
import { canonicalJson } from '../kinds/validate.ts'
import { isUnavailable, TeatreeError } from '../platform/errors.ts'
import { reach } from '../platform/kill-points.ts'
import type { Database, Queryable, Transaction } from '../platform/postgres.ts'
import { newTraceparent, traceparent } from '../platform/telemetry/index.ts'
import { notifyWork } from './channel.ts'
import { cancelIntents } from './completion-log.ts'
import { findIntents } from './find-intents.ts'
import type { Queue } from './queue.ts'
import { columns, type Intent, type IntentStatus } from './records.ts'
import { LOOKUPS, type Most, type Settled, Together } from './together.ts'

/** What is to be done to a model, with its arguments checked and in canonical form. */
export interface Submission {
  model: string
  function: string
  arguments: Readonly<Record<string, unknown>>
  /** Functions and imports are a batch of their own. */
  alone: boolean
  idempotencyKey?: string | null
  /** The model whose new version asks for it. */
  source?: string
  /** The upload that it imports. */
  upload?: string | null
  submittedBy?: string | null
}

/** A submission as it is written down. */
interface Entry {
  id: string
  function: string
  /** JSON. */
  arguments: string
  digest: Buffer
  alone: boolean
  idempotencyKey: string | null
  source: string | null
  upload: string | null
  submittedBy: string | null
  traceparent: string
}

/** An intent as it was accepted, with what a key is compared by. */
type Accepted = Intent & Pick<Entry, 'digest' | 'idempotencyKey'>
const ACCEPTED = `${columns.intent('i')}, i.digest, i.idempotency_key AS "idempotencyKey"`

/** What it is known by among those that are accepted with it: an id is new each time. */
const nameOf = ({ id, idempotencyKey }: Pick<Entry, 'id' | 'idempotencyKey'>): string => idempotencyKey ?? id

const MAX_KEY = 200
/** Submissions of a model that share a transaction, at most: PostgreSQL is sent them in one message. */
const MAX_TOGETHER: Most<Entry> = {
  items: 200,
  bytes: 8 * 2 ** 20,
  bytesOf: entry => Buffer.byteLength(entry.arguments),
}

/**
 * The truth about what was asked, in what order, and what became of it. A mutation is accepted by one transaction: the
 * next seq of the model's row, the intent, and its job; those that come in meanwhile share the next one. If it answered,
 * the intent is never lost; if the connection broke, the idempotency key finds out. Keys are looked for in the same
 * transaction, behind the lock on the model's row, which whoever accepts an intent of the model has to have.
 */
export class Ledger {
  readonly #db: Database
  readonly #queue: Queue
  /** Per model, what is being accepted and what came in meanwhile. */
  readonly #accepting = new Map<string, Together<Entry, Intent>>()

  readonly #lookups = new Together<string, Intent | null>(ids => this.#find(ids), LOOKUPS)

  constructor(db: Database, queue: Queue) {
    this.#db = db
    this.#queue = queue
  }

  /** Accepts an intent, or finds the one that was accepted with the same key. NOT_FOUND, UPLOAD_NOT_FOUND,
   * IDEMPOTENCY_CONFLICT, BAD_VALUE.
   */
  async submit(submission: Submission): Promise<Intent> {
    const { model, idempotencyKey: key = null } = submission
    if (key !== null && (key.length === 0 || key.length > MAX_KEY))
      throw new TeatreeError('BAD_VALUE', `An idempotencyKey has 1 to ${MAX_KEY} characters.`)
    const entry = entryOf(submission)
    const line = this.#accepting.get(model) ?? new Together(entries => this.#accept(model, entries), MAX_TOGETHER)
    this.#accepting.set(model, line)
    try {
      return await line.add(entry)
    } finally {
      if (line.isIdle && this.#accepting.get(model) === line) this.#accepting.delete(model)
    }
  }

  /** What came in for a model meanwhile, in one transaction. What one of them got wrong is not the others'. */
  async #accept(model: string, entries: readonly Entry[]): Promise<Settled<Intent>[]> {
    try {
      const answers = await this.#db.transaction(async tx => {
        const written = await this.#write(tx, model, entries)
        reach('submit.inserted')
        return written
      })
      reach('submit.accepted')
      return answers
    } catch (reason) {
      // After UNAVAILABLE nobody knows whether they were accepted: the key finds out, not another try.
      if (entries.length === 1 || isUnavailable(reason)) return entries.map(() => ({ status: 'rejected', reason }))
      const each: Settled<Intent>[] = []
      for (const entry of entries) each.push(...(await this.#accept(model, [entry])))
      return each
    }
  }

  /** Writes down those whose key is not there yet, and of a key that comes twice the first. The others get what is there. */
  async #write(tx: Transaction, model: string, entries: readonly Entry[]): Promise<Settled<Intent>[]> {
    const keys = entries.flatMap(({ idempotencyKey }) => idempotencyKey ?? [])
    const earlier = keys.length > 0 ? await lockAndFind(tx, model, keys) : []
    const accepted = new Map(earlier.map(each => [nameOf(each), each]))
    const fresh = new Map<string, Entry>()
    for (const entry of entries) {
      const name = nameOf(entry)
      if (!accepted.has(name) && !fresh.has(name)) fresh.set(name, entry)
    }
    const inserted = fresh.size > 0 ? await this.#insert(tx, model, [...fresh.values()]) : []
    for (const each of inserted) accepted.set(nameOf(each), each)
    return Promise.allSettled(entries.map(async entry => intentOf(accepted.get(nameOf(entry)), entry.digest)))
  }

  /** How triggers and copies are accepted, which have no key: as part of a transaction. */
  async insert(tx: Transaction, submission: Submission): Promise<Intent> {
    const entry = entryOf(submission)
    const [inserted] = await this.#insert(tx, submission.model, [entry])
    return intentOf(inserted, entry.digest)
  }

  /** In no order. */
  async #insert(tx: Transaction, model: string, entries: readonly Entry[]): Promise<Accepted[]> {
    const column = <K extends keyof Entry>(name: K) => entries.map(entry => entry[name])
    const inserting = tx.query<Accepted>(
      `WITH line AS (
         UPDATE goal_model SET next_seq = next_seq + cardinality($2::uuid[]) WHERE id = $1 AND deleted_at IS NULL
         RETURNING next_seq - cardinality($2::uuid[]) AS first)
       INSERT INTO intent AS i (model, seq, id, function, arguments, bytes, digest, alone, idempotency_key, source, upload, submitted_by, traceparent)
       SELECT $1, line.first + e.place - 1, e.id, e.function, e.arguments::json, octet_length(e.arguments), e.digest, e.alone,
              e.idempotency_key, e.source, e.upload, e.submitted_by, e.traceparent
         FROM line, unnest($2::uuid[], $3::text[], $4::text[], $5::bytea[], $6::boolean[], $7::text[], $8::text[], $9::uuid[], $10::text[], $11::text[])
              WITH ORDINALITY AS e (id, function, arguments, digest, alone, idempotency_key, source, upload, submitted_by, traceparent, place)
        ORDER BY e.place
       RETURNING ${ACCEPTED}`,
      [
        model,
        column('id'),
        column('function'),
        column('arguments'),
        column('digest'),
        column('alone'),
        column('idempotencyKey'),
        column('source'),
        column('upload'),
        column('submittedBy'),
        column('traceparent'),
      ],
    )
    const telling = Promise.all([this.#queue.send(tx, model, column('id')), notifyWork(tx, model)])
    // Sent behind it without waiting for it: what it fails of is what is told.
    telling.catch(() => {})
    const inserted = await inserting
    if (inserted.length === 0) throw noModel(model)
    // In one order, and behind the model's row, so that no two transactions wait for each other.
    for (const upload of [...new Set(column('upload'))].sort()) if (upload !== null) await useUpload(tx, upload)
    await telling
    return inserted
  }

  /** What was accepted with the same key; null where nothing was, or there is no key. IDEMPOTENCY_CONFLICT. */
  async earlier(submission: Submission): Promise<Intent | null> {
    const { model, idempotencyKey: key = null } = submission
    if (key === null) return null
    const [found] = await findByKey(this.#db, model, [key])
    return found ? intentOf(found, digestOf(submission)) : null
  }

  /** Who asks meanwhile, as all do who wait for what has just ended, is answered by the next query. */
  async intent(id: string): Promise<Intent | null> {
    if (!isUuid(id)) return null
    return this.#lookups.add(id)
  }

  async #find(ids: readonly string[]): Promise<Settled<Intent | null>[]> {
    const byId = new Map((await findIntents(this.#db, [...new Set(ids)])).map(intent => [intent.id, intent]))
    return ids.map(id => ({ status: 'fulfilled', value: byId.get(id) ?? null }))
  }

  /** Newest first, after the intent `after` in that order. */
  async intents(where: IntentFilter, page: { limit: number; after?: IntentPosition }): Promise<Intent[]> {
    const { text, values } = condition(where)
    const after = page.after ? [page.after.submittedAt, page.after.id] : [null, null]
    return this.#db.query<Intent>(
      `SELECT ${columns.intent('i')} FROM intent i
        WHERE ${text} AND ($${values.length + 1}::timestamptz IS NULL OR (i.submitted_at, i.id) < ($${values.length + 1}, $${values.length + 2}::uuid))
        ORDER BY i.submitted_at DESC, i.id DESC LIMIT $${values.length + 3}`,
      [...values, ...after, page.limit],
    )
  }

  async countIntents(where: IntentFilter): Promise<number> {
    const { text, values } = condition(where)
    const [row] = await this.#db.query<{ count: bigint }>(`SELECT count(*) FROM intent i WHERE ${text}`, values)
    return Number(row?.count ?? 0)
  }

  /** The versions of other models that the intent read. */
  async reads(intent: string): Promise<{ model: string; version: number }[]> {
    return this.#db.query('SELECT DISTINCT model, version FROM intent_read WHERE intent = $1 ORDER BY model', [intent])
  }

  /** A QUEUED intent becomes CANCELLED and ends; INTENT_STARTED where it is QUEUED no longer. */
  async cancel(id: string): Promise<Intent> {
    const intent = await this.#known(id)
    return this.#db.transaction(async tx => {
      const [cancelled] = await cancelIntents(tx, intent.model, `id = $2 AND status = 'QUEUED'`, [id])
      if (!cancelled)
        throw new TeatreeError(
          'INTENT_STARTED',
          `Intent ${id} is no longer QUEUED; only a waiting intent can be cancelled.`,
        )
      await this.#queue.settle(tx, intent.model, [id])
      reach('cancel.written')
      return cancelled
    })
  }

  /** A FAILED or PARKED intent again, at the end of the line, as a new intent. */
  async retry(id: string, idempotencyKey: string | null): Promise<Intent> {
    const intent = await this.#known(id)
    if (intent.status !== 'FAILED' && intent.status !== 'PARKED')
      throw new TeatreeError(
        'BAD_VALUE',
        `Intent ${id} is ${intent.status}; only a FAILED or PARKED intent can be retried.`,
      )
    const { model, function: name, alone, upload, submittedBy } = intent
    return this.submit({
      model,
      function: name,
      arguments: intent.arguments,
      alone,
      upload,
      idempotencyKey,
      submittedBy,
    })
  }

  async #known(id: string): Promise<Intent> {
    const intent = await this.intent(id)
    if (!intent) throw new TeatreeError('NOT_FOUND', `There is no intent ${id}.`)
    return intent
  }
}

/** Whoever had the model's row before has committed as the second statement begins: it sees every key that is there. */
async function lockAndFind(tx: Transaction, model: string, keys: readonly string[]): Promise<Accepted[]> {
  const [held, found] = await Promise.all([
    tx.query('SELECT id FROM goal_model WHERE id = $1 AND deleted_at IS NULL FOR NO KEY UPDATE', [model]),
    findByKey(tx, model, keys),
  ])
  if (held.length === 0) throw noModel(model)
  return found
}

const findByKey = (db: Queryable, model: string, keys: readonly string[]): Promise<Accepted[]> =>
  db.query<Accepted>(`SELECT ${ACCEPTED} FROM intent i WHERE i.model = $1 AND i.idempotency_key = ANY($2)`, [
    model,
    keys,
  ])

/** What was accepted, to one who asks for what has this digest. IDEMPOTENCY_CONFLICT. */
function intentOf(accepted: Accepted | undefined, asked: Buffer): Intent {
  if (!accepted) throw new Error('an intent was not written down')
  const { digest, idempotencyKey: _, ...intent } = accepted
  if (digest.equals(asked)) return intent
  throw new TeatreeError(
    'IDEMPOTENCY_CONFLICT',
    `The idempotencyKey was used for intent ${intent.id} (${intent.function}) with other arguments; use a new key.`,
    { details: { intent: intent.id } },
  )
}

/** Keeps an upload for the intent of this transaction: what collects them sees that it is used, or has taken it before. */
async function useUpload(tx: Transaction, id: string): Promise<void> {
  const found =
    isUuid(id) &&
    (await tx.query(`UPDATE upload SET used_at = clock_timestamp() WHERE id = $1 AND state = 'THERE' RETURNING id`, [
      id,
    ]))
  if (!found || found.length === 0)
    throw new TeatreeError('UPLOAD_NOT_FOUND', `There is no upload ${id}; upload the file first.`)
}

export interface IntentFilter {
  model?: string | null | undefined
  function?: string | null | undefined
  status?: readonly IntentStatus[] | null | undefined
}
export interface IntentPosition {
  submittedAt: string
  id: string
}

function condition(where: IntentFilter): { text: string; values: unknown[] } {
  return {
    text: '($1::text IS NULL OR i.model = $1) AND ($2::text IS NULL OR i.function = $2) AND ($3::text[] IS NULL OR i.status = ANY($3))',
    values: [where.model ?? null, where.function ?? null, where.status ?? null],
  }
}

const entryOf = (submission: Submission): Entry => ({
  id: randomUUID(),
  function: submission.function,
  arguments: JSON.stringify(submission.arguments),
  digest: digestOf(submission),
  alone: submission.alone,
  idempotencyKey: submission.idempotencyKey ?? null,
  source: submission.source ?? null,
  upload: submission.upload ?? null,
  submittedBy: submission.submittedBy ?? null,
  traceparent: traceparent() ?? newTraceparent(),
})

/** What the same key must say again: the function and its arguments, as they were coerced. */
const digestOf = (submission: Submission): Buffer =>
  createHash('sha256')
    .update(canonicalJson([submission.function, submission.arguments]))
    .digest()

export const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)

export const noModel = (id: string): TeatreeError => new TeatreeError('NOT_FOUND', `There is no model ${id}.`)
