import { LRUCache } from 'lru-cache'
import type { Kind, Kinds, Table } from '../kinds/kind.ts'
import { coerceArguments, coercePatch, coerceRows } from '../kinds/validate.ts'
import { isRecord } from '../kinds/values.ts'
import { parseMutationWhere } from '../kinds/where.ts'
import { TeatreeError } from '../platform/errors.ts'
import { type ImportArguments, type IntentFunction, intentFunctions, readRequests, runsAlone } from './functions.ts'
import { type Ledger, noModel } from './ledger.ts'
import type { Models } from './models.ts'
import type { Intent, Model } from './records.ts'

/** A mutation as a client sent it: arguments as GraphQL coerced them, not yet held against the kind. */
export interface Request {
  model: string
  /** The mutation's name. */
  function: string
  arguments: Readonly<Record<string, unknown>>
  idempotencyKey?: string | null
  submittedBy?: string | null
}

/** What a model was made as: that never changes, and its id is never given to another. */
type MadeAs = Readonly<Pick<Model, 'id' | 'kind' | 'engine'>>
const MOST_KNOWN = 10_000

/** The door to the ledger: what the request alone, or what is already there, shows to be wrong never reaches it. */
export class Submitter {
  readonly #models: Models
  readonly #ledger: Ledger
  readonly #kinds: Kinds
  readonly #known = new LRUCache<string, MadeAs>({ max: MOST_KNOWN })

  constructor(deps: { models: Models; ledger: Ledger; kinds: Kinds }) {
    this.#models = deps.models
    this.#ledger = deps.ledger
    this.#kinds = deps.kinds
  }

  async submit(request: Request): Promise<Intent> {
    const model = await this.#madeAs(request.model)
    const kind = this.#kinds.get(model.kind)
    const fn = kind && intentFunctions(kind).get(request.function)
    if (!kind || !fn)
      throw new TeatreeError(
        'BAD_VALUE',
        `Model ${model.id} is of kind ${model.kind}, which has no ${request.function}.`,
      )
    if (fn.is === 'function' && !fn.function.engines[model.engine])
      throw new TeatreeError('ENGINE_NOT_SUPPORTED', `${request.function} is not there for models on ${model.engine}.`)
    const args = coerce(kind, fn, request.arguments)
    const upload =
      fn.is === 'write' && fn.way === 'import' ? (args as unknown as ImportArguments).source.upload?.id : null
    const submission = { ...request, arguments: args, alone: runsAlone(fn), upload: upload ?? null }
    // Before the checks whose outcome changes with time: what was accepted once is found again. Row writes have none.
    const earlier = submission.alone ? await this.#ledger.earlier(submission) : null
    if (earlier) return earlier
    // A row write has but the ledger left to pass, which looks. What is read, and uploads, would be found wanting before.
    if (submission.alone && !(await this.#models.get(model.id))) throw noModel(model.id)
    await this.#checkReads(model, fn, args)
    if (fn.is === 'write' && fn.way === 'import') await this.#checkImport(fn.table, args as unknown as ImportArguments)
    return this.#ledger.submit(submission)
  }

  /** The database is asked once; whether the model is still there, the ledger finds as it accepts. */
  async #madeAs(id: string): Promise<MadeAs> {
    const known = this.#known.get(id)
    if (known) return known
    const model = await this.#models.get(id)
    if (!model) throw noModel(id)
    const { kind, engine } = model
    const made = { id, kind, engine }
    this.#known.set(id, made)
    return made
  }

  async #checkReads(model: MadeAs, fn: IntentFunction, args: Readonly<Record<string, unknown>>): Promise<void> {
    if (fn.is === 'write' && fn.way !== 'import') return
    const reads = await this.#models.reads(model.id)
    for (const { alias, model: id } of readRequests(fn, args, reads)) {
      const read = reads.find(candidate => candidate.id === id)
      if (!read)
        throw new TeatreeError('BAD_VALUE', `${alias}: model ${id} is not among the models that ${model.id} reads.`)
      const type = fn.is === 'function' ? fn.function.arguments[alias]?.type : undefined
      if (type?.is === 'model' && type.of !== read.kind)
        throw new TeatreeError('BAD_VALUE', `${alias}: model ${id} is of kind ${read.kind}, not ${type.of}.`)
    }
  }

  async #checkImport(table: Table, { source }: ImportArguments): Promise<void> {
    const mapping = (source.upload ?? source.snapshot)?.columns ?? []
    const unknown = mapping.find(({ column }) => !table.columns.has(column))
    if (unknown)
      throw new TeatreeError(
        'BAD_VALUE',
        `columns: ${table.name} has no column ${unknown.column}; it has ${[...table.columns.keys()].join(', ')}.`,
      )
    const twice = mapping.find(({ column }, index) => mapping.findIndex(other => other.column === column) < index)
    if (twice) throw new TeatreeError('BAD_VALUE', `columns: ${twice.column} is filled twice.`)
    if (source.snapshot) await this.#checkSourceTable(source.snapshot)
  }

  async #checkSourceTable(source: {
    model: string
    table: string
    columns?: readonly { from: string }[]
  }): Promise<void> {
    const model = await this.#models.get(source.model)
    const table = this.#kinds.get(model?.kind ?? '')?.tables.get(source.table)
    if (!table) throw new TeatreeError('BAD_VALUE', `source: model ${source.model} has no table ${source.table}.`)
    const unknown = source.columns?.find(({ from }) => !table.columns.has(from))
    if (unknown)
      throw new TeatreeError('BAD_VALUE', `columns: ${source.table} of ${source.model} has no column ${unknown.from}.`)
  }
}

/** The arguments in canonical form, as the ledger keeps them. */
function coerce(
  kind: Kind,
  fn: IntentFunction,
  raw: Readonly<Record<string, unknown>>,
): Readonly<Record<string, unknown>> {
  if (fn.is === 'copy') throw new TeatreeError('BAD_VALUE', 'A copy is begun by createModel alone.')
  if (fn.is === 'function') return coerceArguments(kind, fn.function, raw)
  switch (fn.way) {
    case 'append':
    case 'upsert':
      return { rows: coerceRows(fn.table, raw.rows as readonly unknown[]) }
    case 'update':
      parseMutationWhere(kind, fn.table, raw.where)
      return { where: raw.where, set: coercePatch(fn.table, raw.set) }
    case 'delete':
      parseMutationWhere(kind, fn.table, raw.where)
      return { where: raw.where }
    case 'import':
      return { mode: raw.mode, source: withoutNulls(raw.source) }
  }
}

/** Null is what was left out, and so the same intent. */
function withoutNulls(value: unknown): unknown {
  if (!isRecord(value)) return value
  const said = Object.entries(value).filter(([, member]) => member !== null)
  return Object.fromEntries(said.map(([name, member]) => [name, withoutNulls(member)]))
}
