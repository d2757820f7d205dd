import { randomBytes } from 'node:crypto'
import type { EngineName } from '../kinds/context.ts'
import type { Kinds } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import { type Database, type Transaction, violates } from '../platform/postgres.ts'
import { notifyModel } from './channel.ts'
import { cancelIntents } from './completion-log.ts'
import { COPY } from './functions.ts'
import { type Ledger, noModel } from './ledger.ts'
import { type ManagerState, managerStates } from './manager-states.ts'
import { setReads } from './model-reads.ts'
import { endRuns } from './query-endings.ts'
import type { Queue } from './queue.ts'
import { pin } from './reads.ts'
import { columns, type Model, type PodSize } from './records.ts'
import { LOOKUPS, type Settled, Together } from './together.ts'

export type { ManagerState }

export interface NewModel {
  id?: string | null | undefined
  name?: string | null | undefined
  kind: string
  engine?: EngineName | null | undefined
  size?: PodSize | null | undefined
  reads?: readonly string[] | null | undefined
  from?: { model: string; version?: number | null | undefined } | null | undefined
}
export interface ModelChange {
  name?: string | null | undefined
  size?: PodSize | null | undefined
  reads?: readonly string[] | null | undefined
}
export interface ModelFilter {
  ids?: readonly string[] | null | undefined
  kind?: string | null | undefined
  engine?: EngineName | null | undefined
  /** SQL's LIKE on the name. */
  nameLike?: string | null | undefined
}

const MODEL_ID = /^[a-z][a-z0-9-]{0,62}$/
const MAX_NAME = 200

/**
 * The models that there are: made, changed, deleted, found. Lists leave out those of kinds that this server was started
 * without: it has no words for them.
 */
export class Models {
  readonly #db: Database
  readonly #queue: Queue
  readonly #ledger: Ledger
  readonly #kinds: Kinds
  readonly #engines: ReadonlySet<string>

  /** `engines`: the names of those that this server has. */
  constructor(deps: { db: Database; queue: Queue; ledger: Ledger; kinds: Kinds; engines: ReadonlySet<string> }) {
    this.#db = deps.db
    this.#queue = deps.queue
    this.#ledger = deps.ledger
    this.#kinds = deps.kinds
    this.#engines = deps.engines
  }

  readonly #lookups = new Together<string, Model | null>(ids => this.#find(ids), LOOKUPS)

  /** Makes a model at version 0. BAD_MODEL_ID, NAME_TAKEN, UNKNOWN_KIND, ENGINE_NOT_SUPPORTED, NOT_FOUND (reads, from), BAD_VALUE. */
  async create(input: NewModel): Promise<Model> {
    const kind = this.#kinds.get(input.kind)
    if (!kind)
      throw new TeatreeError(
        'UNKNOWN_KIND',
        `There is no kind ${input.kind}; there are ${[...this.#kinds.keys()].join(', ')}.`,
      )
    const engine = input.engine ?? 'DUCKDB'
    const engines = kind.engines.filter(name => this.#engines.has(name))
    if (!engines.includes(engine))
      throw new TeatreeError(
        'ENGINE_NOT_SUPPORTED',
        `Kind ${kind.name} runs on ${engines.join(', ') || 'no engine'} here, not on ${engine}.`,
      )
    const id = input.id ?? `${kind.name.toLowerCase()}-${randomBytes(5).toString('hex')}`
    if (!MODEL_ID.test(id))
      throw new TeatreeError(
        'BAD_MODEL_ID',
        'A model id has 1 to 63 lower-case letters, digits and hyphens, a letter first.',
      )
    const name = nameOf(input.name ?? id)
    if (await this.#taken(id)) throw taken(id)
    // The queue cannot be made within the transaction; one that no model came to is found there by the next try.
    await this.#queue.create(id)
    try {
      return await this.#db.transaction(async tx => {
        const [model] = await tx.query<Model>(
          `INSERT INTO goal_model AS m (id, name, kind, shape, engine, size) VALUES ($1, $2, $3, $4, $5, $6) RETURNING ${columns.model('m')}`,
          [id, name, kind.name, JSON.stringify(kind.shape), engine, input.size ?? 'SMALL'],
        )
        if (!model) throw new Error('the model was not inserted')
        const tables = [...kind.tables.keys()].map(table => ({ name: table, rows: 0 }))
        await tx.query(
          'INSERT INTO model_version (model, version, epoch, last_seq, completions, tables) VALUES ($1, 0, 0, 0, 0, $2)',
          [id, JSON.stringify(tables)],
        )
        await setReads(tx, id, input.reads ?? [])
        if (input.from) await this.#beginAsCopy(tx, model, input.from)
        await notifyModel(tx, id)
        return model
      })
    } catch (error) {
      if (violates(error, 'goal_model_pkey')) throw taken(id)
      throw error
    }
  }

  async #beginAsCopy(tx: Transaction, model: Model, from: NonNullable<NewModel['from']>): Promise<void> {
    const [source] = await tx.query<{ kind: string; version: number }>(
      'SELECT kind, version FROM goal_model WHERE id = $1 AND deleted_at IS NULL FOR KEY SHARE',
      [from.model],
    )
    if (!source) throw noModel(from.model)
    if (source.kind !== model.kind)
      throw new TeatreeError('BAD_VALUE', `from: model ${from.model} is of kind ${source.kind}, not ${model.kind}.`)
    const args = { model: from.model, version: from.version ?? source.version }
    const intent = await this.#ledger.insert(tx, { model: model.id, function: COPY, arguments: args, alone: true })
    // Kept from now on: the source may publish many a version before a manager comes to the copy.
    await pin(tx, intent.id, [{ alias: 'source', ...args }])
  }

  async update(id: string, change: ModelChange): Promise<Model> {
    const name = change.name == null ? null : nameOf(change.name)
    return this.#db.transaction(async tx => {
      const [model] = await tx.query<Model>(
        `UPDATE goal_model m SET name = coalesce($2, name), size = coalesce($3, size)
          WHERE id = $1 AND deleted_at IS NULL RETURNING ${columns.model('m')}`,
        [id, name, change.size ?? null],
      )
      if (!model) throw noModel(id)
      if (change.reads) await setReads(tx, id, change.reads)
      await notifyModel(tx, id)
      return model
    })
  }

  /** MODEL_IN_USE while another model reads it. Waiting intents are CANCELLED; its id stays taken. */
  async delete(id: string): Promise<void> {
    await this.#db.transaction(async tx => {
      const [model] = await tx.query('SELECT FROM goal_model WHERE id = $1 AND deleted_at IS NULL FOR UPDATE', [id])
      if (!model) throw noModel(id)
      const readers = await tx.query<{ model: string }>(
        `SELECT r.model FROM model_read r JOIN goal_model m ON m.id = r.model
          WHERE r.reads = $1 AND m.deleted_at IS NULL ORDER BY r.model LIMIT 10`,
        [id],
      )
      if (readers.length > 0)
        throw new TeatreeError(
          'MODEL_IN_USE',
          `Model ${id} is read by ${readers.map(reader => reader.model).join(', ')}; change their reads first.`,
        )
      await cancelIntents(tx, id, `status IN ('QUEUED', 'RUNNING')`)
      await endRuns(tx, id, { state: 'CANCELLED' }, `q.state = 'QUEUED'`)
      await tx.query('DELETE FROM model_read WHERE model = $1', [id])
      await tx.query('DELETE FROM model_lease WHERE model = $1', [id])
      // With the epoch, whatever its manager still tries is refused.
      await tx.query(
        `UPDATE goal_model SET deleted_at = clock_timestamp(), epoch = epoch + 1, blocked = NULL, retry_at = NULL
          WHERE id = $1`,
        [id],
      )
      await tx.query('UPDATE model_version SET kept = false WHERE model = $1', [id])
      await notifyModel(tx, id)
    })
    // A queue that outlives its model wakes nobody.
    await this.#queue.drop(id).catch(() => {})
  }

  async #taken(id: string): Promise<boolean> {
    return (await this.#db.query('SELECT FROM goal_model WHERE id = $1', [id])).length > 0
  }

  async get(id: string): Promise<Model | null> {
    const [model] = await this.find([id])
    return model ?? null
  }

  /** Those of these ids that are there, of whichever kind, in no order. Who asks meanwhile is answered by the next query. */
  async find(ids: readonly string[]): Promise<Model[]> {
    const found = await Promise.all(ids.map(id => this.#lookups.add(id)))
    return found.filter(model => model !== null)
  }

  async #find(ids: readonly string[]): Promise<Settled<Model | null>[]> {
    const found = await this.#db.again<Model>(
      `SELECT ${columns.model('m')} FROM goal_model m WHERE id = ANY($1) AND deleted_at IS NULL`,
      [ids],
    )
    const byId = new Map(found.map(model => [model.id, model]))
    return ids.map(id => ({ status: 'fulfilled', value: byId.get(id) ?? null }))
  }

  /** The models that this one reads. */
  reads(id: string): Promise<Model[]> {
    return this.#db.query<Model>(
      `SELECT ${columns.model('m')} FROM model_read r JOIN goal_model m ON m.id = r.reads WHERE r.model = $1 ORDER BY m.id`,
      [id],
    )
  }

  /** In the order of their making; `last`: from the end, still in that order. */
  async list(
    where: ModelFilter,
    page: { limit: number; last?: boolean; after?: ModelPosition; before?: ModelPosition },
  ): Promise<Model[]> {
    const { text, values } = condition(this.#kinds, where)
    const order = page.last ? 'DESC' : 'ASC'
    const models = await this.#db.query<Model>(
      `SELECT ${columns.model('m')} FROM goal_model m WHERE ${text}
          AND ($5::timestamptz IS NULL OR (m.created_at, m.id) > ($5, $6))
          AND ($7::timestamptz IS NULL OR (m.created_at, m.id) < ($7, $8))
        ORDER BY m.created_at ${order}, m.id ${order} LIMIT $9`,
      [
        ...values,
        page.after?.createdAt ?? null,
        page.after?.id ?? null,
        page.before?.createdAt ?? null,
        page.before?.id ?? null,
        page.limit,
      ],
    )
    return page.last ? models.reverse() : models
  }

  async count(where: ModelFilter): Promise<number> {
    const { text, values } = condition(this.#kinds, where)
    const [row] = await this.#db.query<{ count: bigint }>(`SELECT count(*) FROM goal_model m WHERE ${text}`, values)
    return Number(row?.count ?? 0)
  }

  /** What the managers of models do: their leases, lines and archives. One for each model, deleted ones too, in no order. */
  managers(ids: readonly string[]): Promise<ManagerState[]> {
    return managerStates(this.#db, ids)
  }
}

export interface ModelPosition {
  createdAt: string
  id: string
}

const taken = (id: string) =>
  new TeatreeError('NAME_TAKEN', `The id ${id} was given before; ids are never given twice.`)

function nameOf(name: string): string {
  if (name.trim() === '' || name.length > MAX_NAME || name.includes('\0'))
    throw new TeatreeError('BAD_VALUE', `name: 1 to ${MAX_NAME} characters.`)
  return name
}

function condition(kinds: Kinds, where: ModelFilter): { text: string; values: unknown[] } {
  const wanted = [...kinds.keys()].filter(kind => where.kind == null || kind === where.kind)
  return {
    text: `m.deleted_at IS NULL AND m.kind = ANY($1) AND ($2::text IS NULL OR m.engine = $2)
           AND ($3::text IS NULL OR m.name LIKE $3) AND ($4::text[] IS NULL OR m.id = ANY($4))`,
    values: [wanted, where.engine ?? null, where.nameLike ?? null, where.ids ?? null],
  }
}
