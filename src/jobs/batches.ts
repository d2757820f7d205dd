import type { Work, WorkOutcome, Writer } from '../engine/engine.ts'
import type { Kind } from '../kinds/kind.ts'
import { reach } from '../platform/kill-points.ts'
import { span } from '../platform/telemetry/index.ts'
import { endingOf, MAX_DEATHS, measure, parked } from './endings.ts'
import { markLostSource } from './lost.ts'
import type { ModelFiles } from './model-files.ts'
import type { ModelWriter } from './model-writer.ts'
import type { Ending, Publication, Publisher } from './publish.ts'
import type { Intent } from './records.ts'
import { prepareWork, type WorkDeps } from './work.ts'

interface Deps {
  model: string
  epoch: number
  kind: Kind
  files: ModelFiles
  writer: ModelWriter
  publisher: Publisher
  work: WorkDeps
  /** Stops the batch under way. */
  signal: AbortSignal
  /** A version with so many intents is there; it was begun at `startedAt`, on the monotonic clock. */
  onPublished(of: { intents: number; startedAt: number }): void
}

/** Batches of one model, from what was taken from the ledger to a version that is published. One call at a time. */
export class Batches {
  readonly #deps: Deps

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Every intent of the batch ends, or it throws and none has. Fenced where the epoch is over. */
  async end(batch: readonly [Intent, ...Intent[]]): Promise<void> {
    const [first, ...others] = batch
    await Promise.all(batch.map(waited))
    await span(
      'batch',
      {
        parent: first.traceparent,
        links: others.map(intent => intent.traceparent),
        attributes: { 'teatree.model': this.#deps.model, 'teatree.intents': batch.length },
      },
      async () =>
        first.solo > MAX_DEATHS
          ? this.#publish([first], [parked(first)])
          : this.#publish(batch, await this.#apply(batch)),
    )
  }

  /** What the kind has got since the newest version is a version of its own, without an intent. */
  async takeUpKind(): Promise<void> {
    const { writer, version } = await this.#deps.writer.opened()
    if (!writer.hasAdditions) return
    await writer.apply([], version + 1)
    await this.#publish([], [], true)
  }

  async #apply(batch: readonly Intent[]): Promise<Ending[]> {
    const { files, epoch, kind, work, signal } = this.#deps
    const { writer, version } = await this.#deps.writer.opened()
    await using prepared = await prepareWork(work, kind, batch, files.scratchDir(epoch), signal)
    reach('batch.prepared')
    const ready = prepared.items.flatMap(item => (item.is === 'work' ? [item.work] : []))
    const outcomes = ready.length === 0 ? [] : await span('apply', {}, () => this.#applied(writer, ready, version + 1))
    const byIntent = new Map(ready.map((work, index) => [work.intentId, outcomes[index]]))
    return batch.map((intent, index) => {
      const item = prepared.items[index]
      const outcome = item?.is === 'refused' ? { ok: false as const, error: item.error } : byIntent.get(intent.id)
      if (!outcome) throw new Error(`intent ${intent.id} has no outcome`)
      return endingOf(intent, outcome)
    })
  }

  /** What it finds of other models to be damaged is made again by their managers; until then it waits. */
  async #applied(writer: Writer, work: readonly Work[], version: number): Promise<WorkOutcome[]> {
    try {
      return await writer.apply(work, version)
    } catch (error) {
      await markLostSource(this.#deps.work.db, error)
      throw error
    }
  }

  async #publish(
    batch: readonly Intent[],
    endings: readonly Ending[],
    changed = endings.some(({ status }) => status === 'PUBLISHED'),
  ): Promise<void> {
    const { model, kind, epoch, publisher, writer, onPublished } = this.#deps
    const startedAt = performance.now()
    await span('publish', {}, async publishing => {
      const made = changed ? await this.#makeVersion() : { after: 0, snapshot: null }
      const lastSeq = batch.at(-1)?.seq ?? 0n
      const { version, seconds } = await publisher.publish({ model, kind, epoch, endings, lastSeq, ...made })
      reach('publish.committed')
      publishing.setAttribute('teatree.version', version)
      if (changed) writer.movedOn(version)
      measure(kind, batch, endings, seconds)
    })
    if (changed) onPublished({ intents: batch.length, startedAt })
  }

  async #makeVersion(): Promise<Pick<Publication, 'after' | 'snapshot'>> {
    const { files, epoch } = this.#deps
    const { writer, version } = await this.#deps.writer.opened()
    const made = await span('snapshot', {}, () => files.make(version + 1, epoch, dir => writer.snapshot(dir)))
    reach('snapshot.made')
    return { after: version, snapshot: { dir: files.versionDir(version + 1, epoch), ...made } }
  }
}

/** The time in the line, in the intent's own trace, whichever batch it came to be in. */
const waited = (intent: Intent): Promise<void> =>
  span('queue', { parent: intent.traceparent, startTime: new Date(intent.submittedAt) }, () => {})
