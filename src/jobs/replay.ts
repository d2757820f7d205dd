import { rm } from 'node:fs/promises'
import type { Writer } from '../engine/engine.ts'
import type { Kind } from '../kinds/kind.ts'
import { canonicalJson } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { columns, type Intent } from './records.ts'
import { prepareWork, type WorkDeps } from './work.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  kind: Kind
  model: string
  /** At an archived version, or empty. */
  writer: Writer
  /** Where the writer's database is, and what it was opened from; removed in the end. */
  folder: string
  base: string
  signal: AbortSignal
  reads: WorkDeps['reads']
}

/** A model's published intents applied again, version by version. One call at a time. */
export class Replay implements AsyncDisposable {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  get writer(): Writer {
    return this.#deps.writer
  }

  get version(): number {
    return this.writer.version
  }

  /** Goes on to a version, which must be no older. */
  async moveTo(version: number): Promise<void> {
    while (this.version < version) await this.#next(version)
    if (this.version !== version) throw new Error(`version ${version} is behind ${this.version}`)
  }

  async #next(upTo: number): Promise<void> {
    const { db, kind, model, folder, signal } = this.#deps
    signal.throwIfAborted()
    const intents = await db.query<Intent>(
      `SELECT ${columns.intent('i')} FROM intent i
        WHERE i.model = $1 AND i.version = (SELECT min(version) FROM intent WHERE model = $1 AND version > $2)
        ORDER BY i.seq`,
      [model, this.version],
    )
    const version = intents[0]?.version ?? null
    if (version === null || version > upTo) {
      // Those in between came of no intent: they took up what the kind had got, as this writer does.
      await this.writer.apply([], upTo)
      return
    }
    const work: WorkDeps = { ...this.#deps, report: () => () => {} }
    await using prepared = await prepareWork(work, kind, intents, folder, signal)
    const ready = prepared.items.map((item, index) => {
      if (item.is === 'work') return item.work
      throw differs({ model, version }, `intent ${intents[index]?.id} is refused (${item.error.message})`)
    })
    const outcomes = await this.writer.apply(ready, version)
    for (const [index, intent] of intents.entries()) {
      const outcome = outcomes[index]
      if (!outcome?.ok || !isAsBefore(intent.result, outcome.result))
        throw differs({ model, version }, `intent ${intent.id} does not end as it did`)
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.writer.close()
    for (const path of [this.#deps.folder, this.#deps.base]) await rm(path, { recursive: true, force: true })
  }
}

/** A function may answer with more by now than it did. */
const isAsBefore = (before: Intent['result'], now: Readonly<Record<string, unknown>>): boolean =>
  Object.entries(before ?? {}).every(([name, value]) => canonicalJson(value) === canonicalJson(now[name] ?? null))

/** The kind's code, or a file that it read, is not what it was: what came of it must not pass for what was published. */
export const differs = ({ model, version }: { model: string; version: number }, how: string): TeatreeError =>
  new TeatreeError(
    'INTERNAL',
    `Version ${version} of model ${model} cannot be made again: ${how}. Serve it with the kinds that it was published with.`,
  )
