import { setTimeout as wait } from 'node:timers/promises'
import type { Answer } from '../../support/platform.ts'
import { BASIS_PERIOD, type Call, GOAL_PERIOD, type ModelOf, type Operation, type Row } from './history.ts'
import { chance, nextOperation, pick, type Random, upTo } from './operations.ts'
import type { Recorder } from './recorder.ts'
import { type Asked, ask, uploadCsv } from './requests.ts'

export interface ClientDeps {
  name: string
  random: Random
  recorder: Recorder
  /** Of the servers, as they are now. */
  urls: () => readonly string[]
  signal: AbortSignal
}

/** How often one who got no answer asks again. */
const TRIES = 40

/** An intent that is to be submitted. */
interface Submitted {
  model: ModelOf
  tag: string
  operation: Operation
  /** Its idempotency key. Null: none, and it is found by the tag in its rows. */
  key: string | null
  /** The intent of another tag that it tries again, which has failed or was set aside. */
  again?: string | undefined
}

/**
 * Submits intents until it is told to stop: row writes, imports, goals; some that are wrong, some twice at once on two
 * servers, some without a key, some taken back, and some again that have failed or were set aside. What got no answer it
 * asks for again, by its key, or lets be.
 */
export async function runClient(deps: ClientDeps): Promise<void> {
  const { name, random, recorder, signal } = deps
  for (let n = 0; !signal.aborted; n++) {
    const tag = `${name}-${String(n).padStart(5, '0')}`
    const model = pick(random, recorder.models)
    // Goals are computed seldom: each run reads all sales.
    if (model.kind === 'goals' && !chance(random, 0.25)) continue
    const failed = chance(random, 0.05) ? await failedOf(deps, model) : null
    const { operation, again } = failed ?? { operation: nextOperation(random, model, tag), again: undefined }
    const isFound = 'rows' in operation && operation.is !== 'import' && again === undefined
    const key = isFound && chance(random, 0.2) ? null : tag
    const submission = new Submission(deps, { model, tag, operation, key, again })
    if (!failed && chance(random, 0.04)) await submission.wrongly()
    else await submission.run()
    await wait(upTo(random, 120), undefined, { signal }).catch(() => {})
  }
}

/** One that is listed as failed or set aside, of those that a client has asked for; null where there is none. */
async function failedOf({ random, recorder, urls }: ClientDeps, model: ModelOf) {
  const text = 'query ($where: IntentWhere!) { intents(where: $where, first: 20) { nodes { id } } }'
  const status = pick(random, [['PARKED'], ['FAILED', 'PARKED']])
  const { data } = await ask(pick(random, urls()), text, { where: { model: model.id, status } })
  const ids = new Set<string>(data?.intents?.nodes.map(({ id }: Answer) => id))
  const calls = recorder.calls.filter(({ intent }) => intent && ids.has(intent.id))
  if (calls.length === 0) return null
  const { operation, intent } = pick(random, calls)
  return { operation, again: intent?.id }
}

/** One intent, and the tries to submit it. */
export class Submission {
  readonly #deps: ClientDeps
  readonly #of: Submitted
  readonly #waitMs: number

  constructor(deps: ClientDeps, of: Submitted) {
    this.#deps = deps
    this.#of = of
    this.#waitMs = chance(deps.random, 0.4) ? 3000 : 0
  }

  async run(): Promise<void> {
    const { random, signal, urls } = this.#deps
    const isKeyed = this.#of.key !== null
    const made = await this.#document()
    if (!made) return
    if (isKeyed && chance(random, 0.1)) {
      await Promise.all(urls().map(url => this.#try(url, made)))
      return
    }
    let call = await this.#tryAnywhere(made)
    const tries = isKeyed && chance(random, 0.9) ? TRIES : 0
    for (let left = tries; left > 0 && needsAnother(call) && !signal.aborted; left--) {
      await wait(50 + upTo(random, 400))
      call = await this.#tryAnywhere(made)
    }
    if (call.intent && this.#waitMs === 0 && chance(random, 0.25)) await this.#cancel(call.intent.id)
    if (call.intent && isKeyed && chance(random, 0.03)) await this.#withOtherArguments()
  }

  /** However long that takes. */
  async untilAnswered(): Promise<void> {
    const made = await this.#document()
    while (made && needsAnother(await this.#tryAnywhere(made))) await wait(200)
  }

  /** The request alone shows that it is wrong. */
  async wrongly(): Promise<void> {
    const rows = [{ orderId: this.#of.tag, line: 'one', date: '2024-02-30' }]
    const made = await this.#document()
    if (made) await this.#tryAnywhere({ ...made, variables: { ...made.variables, rows, input: {}, where: 1 } })
  }

  /** The same key for something else. */
  async #withOtherArguments(): Promise<void> {
    const { model, operation, tag } = this.#of
    if (!('rows' in operation) || operation.is === 'import') return
    const [row] = operation.rows
    const changed = `${tag}-other`
    const rows = [{ ...row, [operation.table === 'sites' ? 'name' : 'productId']: changed }]
    const other = new Submission(this.#deps, { model, tag: changed, key: tag, operation: { ...operation, rows } })
    const made = await other.#document()
    if (made) await other.#tryAnywhere(made)
  }

  async #cancel(id: string): Promise<void> {
    const { recorder, random, urls } = this.#deps
    const at = recorder.now()
    const asked = await ask(pick(random, urls()), 'mutation ($id: ID!) { cancelIntent(id: $id) { status } }', { id })
    recorder.cancellations.push({ at, until: recorder.now(), intent: id, outcome: outcomeOf(asked) })
  }

  #tryAnywhere(made: Document): Promise<Call> {
    return this.#try(pick(this.#deps.random, this.#deps.urls()), made)
  }

  async #try(url: string, { text, variables }: Document): Promise<Call> {
    const { name: client, recorder } = this.#deps
    const { model, operation, tag } = this.#of
    const at = recorder.now()
    const asked = await ask(url, text, variables)
    const { id, seq } = asked.data?.intent ?? {}
    const call: Call = {
      client,
      model: model.id,
      tag,
      operation,
      at,
      until: recorder.now(),
      outcome: id === undefined ? outcomeOf(asked) : 'ok',
      code: asked.code === 'LOST' ? null : asked.code,
      intent: id === undefined ? null : { id, seq: Number(seq) },
    }
    recorder.calls.push(call)
    return call
  }

  /** Null where a file could not be uploaded. */
  async #document(): Promise<Document | null> {
    const { again, key, model, operation } = this.#of
    if (again !== undefined) return { text: RETRY, variables: { id: again, key } }
    const variables = { model: model.id, key, waitMs: this.#waitMs }
    if (operation.is === 'computeGoals') {
      const input = { ...operation.input, basisPeriod: BASIS_PERIOD, goalPeriod: GOAL_PERIOD }
      return document('computeGoals', '$input: ComputeGoalsInput!', 'input: $input', { ...variables, input })
    }
    const Table = operation.table === 'sites' ? 'Sites' : 'Sales'
    const Row = operation.table === 'sites' ? 'Site' : 'Sale'
    switch (operation.is) {
      case 'append':
      case 'upsert':
        return document(`${operation.is}${Table}`, `$rows: [${Row}Input!]!`, 'rows: $rows', {
          ...variables,
          rows: operation.rows.map(inputOf),
        })
      case 'update':
      case 'delete': {
        const isUpdate = operation.is === 'update'
        return document(
          `${operation.is}${Table}`,
          `$where: ${Row}Where!${isUpdate ? `, $set: ${Row}Patch!` : ''}`,
          `where: $where${isUpdate ? ', set: $set' : ''}`,
          { ...variables, where: whereOf(operation.where), ...(isUpdate ? { set: operation.set } : {}) },
        )
      }
      case 'import': {
        const id = await uploadCsv(pick(this.#deps.random, this.#deps.urls()), csvOf(operation))
        if (id === null) return null
        const source = { upload: { id } }
        return document('importSales', '$source: ImportSource!, $mode: ImportMode', 'source: $source, mode: $mode', {
          ...variables,
          source,
          mode: operation.mode,
        })
      }
    }
  }
}

interface Document {
  text: string
  variables: Record<string, unknown>
}

const RETRY =
  'mutation ($id: ID!, $key: String) { intent: retryIntent(id: $id, idempotencyKey: $key) { id seq status } }'

const document = (field: string, types: string, args: string, variables: Record<string, unknown>): Document => ({
  text: `mutation ($model: ID!, $key: String, $waitMs: Int, ${types}) {
    intent: ${field}(model: $model, idempotencyKey: $key, waitMs: $waitMs, ${args}) { id seq status } }`,
  variables,
})

const outcomeOf = ({ code, isUnknown }: Asked) => (isUnknown ? 'unknown' : code === null ? 'ok' : 'refused')
const needsAnother = ({ outcome, code }: Call): boolean =>
  outcome === 'unknown' || (outcome === 'refused' && code === 'UNAVAILABLE')

const inputOf = (row: Row) => ({ ...row, ...(row.line === undefined ? {} : { line: Number(row.line) }) })
const whereOf = (where: Row) => Object.fromEntries(Object.entries(where).map(([column, eq]) => [column, { eq }]))

function csvOf({ rows, isBad }: Extract<Operation, { is: 'import' }>): string {
  const columns = Object.keys(rows[0] ?? {})
  const lines = rows.map((row, index) =>
    columns
      .map(column => (isBad && index === rows.length - 1 && column === 'amount' ? 'dear' : (row[column] ?? '')))
      .join(),
  )
  return [columns.join(), ...lines, ''].join('\n')
}
