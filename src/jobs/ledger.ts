import { createHash, randomUUID } from 'node:crypto'
import { canonicalJson } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import { type Database, type Transaction, violates } from '../platform/postgres.ts'
import { newTraceparent, traceparent } from '../platform/telemetry/index.ts'
import { notifyWork } from './channel.ts'
import { cancelIntents } from './completion-log.ts'
import type { Queue } from './queue.ts'
import { columns, type Intent, type IntentStatus } from './records.ts'

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
  submittedBy?: string | null
}

const MAX_KEY = 200

/**
 * The truth about what was asked, in what order, and what became of it. A mutation is accepted by one transaction: the
 * next seq of the model's row, the intent, and its job. If that answered, the intent is never lost; if the connection
 * broke, the idempotency key finds out.
 */
export class Ledger {
  readonly #db: Database
  readonly #queue: Queue

  constructor(db: Database, queue: Queue) {
    this.#db = db
    this.#queue = queue
  }

  /** Accepts an intent, or finds the one that was accepted with the same key. NOT_FOUND, IDEMPOTENCY_CONFLICT, BAD_VALUE. */
  async submit(submission: Submission): Promise<Intent> {
    const key = submission.idempotencyKey ?? null
    if (key !== null && (key.length === 0 || key.length > MAX_KEY))
      throw new TeatreeError('BAD_VALUE', `An idempotencyKey has 1 to ${MAX_KEY} characters.`)
    const digest = digestOf(submission)
    try {
      return await this.#db.transaction(tx => this.insert(tx, submission, digest))
    } catch (error) {
      if (key === null || !violates(error, 'intent_idempotency')) throw error
      return this.#sameAgain(submission.model, key, digest)
    }
  }

  /** The part of `submit` that happens within a transaction: also how triggers are accepted. */
  async insert(tx: Transaction, submission: Submission, digest = digestOf(submission)): Promise<Intent> {
    const args = JSON.stringify(submission.arguments)
    const [intent] = await tx.query<Intent>(
      `WITH line AS (
         UPDATE goal_model SET next_seq = next_seq + 1 WHERE id = $2 AND deleted_at IS NULL RETURNING next_seq - 1 AS seq)
       INSERT INTO intent AS i (id, model, seq, function, arguments, bytes, digest, alone, idempotency_key, source, submitted_by, traceparent)
       SELECT $1, $2, line.seq, $3, $4, $5, $6, $7, $8, $9, $10, $11 FROM line
       RETURNING ${columns.intent('i')}`,
      [
        randomUUID(),
        submission.model,
        submission.function,
        args,
        Buffer.byteLength(args),
        digest,
        submission.alone,
        submission.idempotencyKey ?? null,
        submission.source ?? null,
        submission.submittedBy ?? null,
        traceparent() ?? newTraceparent(),
      ],
    )
    if (!intent) throw noModel(submission.model)
    await this.#queue.send(tx, intent.model, [intent.id])
    await notifyWork(tx, intent.model)
    return intent
  }

  async #sameAgain(model: string, key: string, digest: Buffer): Promise<Intent> {
    const [found] = await this.#db.query<Intent & { digest: Buffer }>(
      `SELECT ${columns.intent('i')}, i.digest FROM intent i WHERE i.model = $1 AND i.idempotency_key = $2`,
      [model, key],
    )
    if (!found) throw new TeatreeError('UNAVAILABLE', 'The intent is being submitted by another request; try again.')
    const { digest: earlier, ...intent } = found
    if (earlier.equals(digest)) return intent
    throw new TeatreeError(
      'IDEMPOTENCY_CONFLICT',
      `The idempotencyKey was used for intent ${intent.id} (${intent.function}) with other arguments; use a new key.`,
      { details: { intent: intent.id } },
    )
  }

  async intent(id: string): Promise<Intent | null> {
    if (!isUuid(id)) return null
    const [intent] = await this.#db.query<Intent>(`SELECT ${columns.intent('i')} FROM intent i WHERE i.id = $1`, [id])
    return intent ?? null
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
    const { model, function: name, alone, submittedBy } = intent
    return this.submit({ model, function: name, arguments: intent.arguments, alone, idempotencyKey, submittedBy })
  }

  async #known(id: string): Promise<Intent> {
    const intent = await this.intent(id)
    if (!intent) throw new TeatreeError('NOT_FOUND', `There is no intent ${id}.`)
    return intent
  }
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

/** What the same key must say again: the function and its arguments, as they were coerced. */
const digestOf = (submission: Submission): Buffer =>
  createHash('sha256')
    .update(canonicalJson([submission.function, submission.arguments]))
    .digest()

export const isUuid = (text: string): boolean => /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(text)

export const noModel = (id: string): TeatreeError => new TeatreeError('NOT_FOUND', `There is no model ${id}.`)
