import { setTimeout as wait } from 'node:timers/promises'
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

/**
 * Submits intents until it is told to stop: row writes, imports, goals; some that are wrong, some twice at once on two
 * servers, some without a key, some taken back. What got no answer it asks for again, by its key, or lets be.
 */
export async function runClient(deps: ClientDeps): Promise<void> {
  const { name, random, recorder, signal } = deps
  for (let n = 0; !signal.aborted; n++) {
    const tag = `${name}-${String(n).padStart(5, '0')}`
    const model = pick(random, recorder.models)
    // Goals are computed seldom: each run reads all sales.
    if (model.kind === 'goals' && !chance(random, 0.25)) continue
    const operation = nextOperation(random, model, tag)
    const submission = new Submission(deps, model, tag, operation)
    if (chance(random, 0.04)) await submission.wrongly()
    else await submission.run()
    await wait(upTo(random, 120), undefined, { signal }).catch(() => {})
  }
}

/** One intent, and the tries to submit it. */
export class Submission {
  readonly #deps: ClientDeps
  readonly #model: ModelOf
  readonly #tag: string
  readonly #operation: Operation
  readonly #key: string | null
  readonly #waitMs: number

  constructor(deps: ClientDeps, model: ModelOf, tag: string, operation: Operation) {
    this.#deps = deps
    this.#model = model
    this.#tag = tag
    this.#operation = operation
    // Without a key only what is found again by its rows.
    this.#key = 'rows' in operation && operation.is !== 'import' && chance(deps.random, 0.2) ? null : tag
    this.#waitMs = chance(deps.random, 0.4) ? 3000 : 0
  }

  async run(): Promise<void> {
    const { random } = this.#deps
    const made = await this.#document()
    if (!made) return
    if (this.#key !== null && chance(random, 0.1)) {
      await Promise.all(this.#deps.urls().map(url => this.#try(url, made)))
      return
    }
    let call = await this.#try(pick(random, this.#deps.urls()), made)
    const tries = chance(random, 0.1) ? 0 : TRIES
    for (let left = tries; left > 0 && this.#key !== null && needsAnother(call) && !this.#deps.signal.aborted; left--) {
      await wait(50 + upTo(random, 400))
      call = await this.#try(pick(random, this.#deps.urls()), made)
    }
    if (call.intent && this.#waitMs === 0 && chance(random, 0.25)) await this.#cancel(call.intent.id)
    if (call.intent && this.#key !== null && chance(random, 0.03)) await this.#withOtherArguments()
  }

  /** However long that takes. */
  async untilAnswered(): Promise<void> {
    const made = await this.#document()
    for (
      let call = made && (await this.#try(pick(this.#deps.random, this.#deps.urls()), made));
      made && call && needsAnother(call);
    ) {
      await wait(200)
      call = await this.#try(pick(this.#deps.random, this.#deps.urls()), made)
    }
  }

  /** The request alone shows that it is wrong. */
  async wrongly(): Promise<void> {
    const made = await this.#document()
    if (!made) return
    const rows = [{ orderId: this.#tag, line: 'one', date: '2024-02-30' }]
    await this.#try(pick(this.#deps.random, this.#deps.urls()), {
      ...made,
      variables: { ...made.variables, rows, input: {}, where: 1 },
    })
  }

  /** The same key for something else. */
  async #withOtherArguments(): Promise<void> {
    if (!('rows' in this.#operation) || this.#operation.is === 'import') return
    const [row] = this.#operation.rows
    const tag = `${this.#tag}-other`
    const operation = {
      ...this.#operation,
      rows: [{ ...row, [this.#operation.table === 'sites' ? 'name' : 'productId']: tag }],
    }
    const other = new Submission({ ...this.#deps, random: () => 0.99 }, this.#model, tag, operation)
    const made = await other.#document()
    if (made)
      await other.#try(pick(this.#deps.random, this.#deps.urls()), {
        ...made,
        variables: { ...made.variables, key: this.#tag },
      })
  }

  async #cancel(id: string): Promise<void> {
    const { recorder, random, urls } = this.#deps
    const at = recorder.now()
    const asked = await ask(pick(random, urls()), 'mutation ($id: ID!) { cancelIntent(id: $id) { status } }', { id })
    recorder.cancellations.push({ at, until: recorder.now(), intent: id, outcome: outcomeOf(asked) })
  }

  async #try(url: string, { text, variables }: Document): Promise<Call> {
    const { name: client, recorder } = this.#deps
    const at = recorder.now()
    const asked = await ask(url, text, variables)
    const { id, seq } = asked.data?.intent ?? {}
    const call: Call = {
      client,
      model: this.#model.id,
      tag: this.#tag,
      operation: this.#operation,
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
    const operation = this.#operation
    const variables = { model: this.#model.id, key: this.#key, waitMs: this.#waitMs }
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
