import { setTimeout as wait } from 'node:timers/promises'
import type { Engine, Work, WorkOutcome, Writer } from '../engine/engine.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { metrics, span } from '../platform/telemetry/index.ts'
import { notifyModel } from './channel.ts'
import { ModelFiles } from './model-files.ts'
import { type Ending, Fenced, type Publisher } from './publish.ts'
import { columns, type Intent, intentError, type Model, type Version } from './records.ts'
import { giveBack, suspectsUpTo, takeBatch } from './take.ts'
import { prepareWork } from './work.ts'

/** An intent that took its manager down this often is set aside. */
const MAX_DEATHS = 3

export interface LineDeps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  publisher: Publisher
  dataDir: string
  log: Log
  /** Whether no other manager can have taken the model yet. */
  safe(model: string): boolean
  onPublished(model: string, version: number): void
}

/**
 * The line of one model in the manager that holds its lease: one batch after another, and nobody else's.
 *
 *   wake ─▶ take ─▶ apply ─▶ snapshot ─▶ publish ─┐       refused intent: FAILED, the line goes on
 *            ▲                                     │       fault of the surroundings: BLOCKED, again with backoff
 *            └───────── while intents wait ────────┘       epoch over: the line ends
 */
export class Line {
  readonly #deps: LineDeps
  readonly #files: ModelFiles
  readonly #kind: Kind
  readonly #engine: Engine
  readonly model: string
  readonly #epoch: number
  readonly #stop = new AbortController()
  #version: number
  #writer: Writer | null = null
  #suspects: bigint
  #pass: Promise<void> | null = null
  #again = false
  #failures = 0
  /** When the last intent ended, on the monotonic clock; for letting idle models go. */
  idleSince = performance.now()

  private constructor(deps: LineDeps, model: Model, epoch: number, kind: Kind, engine: Engine, suspects: bigint) {
    this.#deps = deps
    this.#files = new ModelFiles(deps.dataDir, model.id)
    this.#kind = kind
    this.#engine = engine
    this.model = model.id
    this.#epoch = epoch
    this.#version = model.version
    this.#suspects = suspects
  }

  /** The line of a model whose lease was just acquired with `epoch`. */
  static async open(deps: LineDeps, id: string, epoch: number): Promise<Line> {
    const [model] = await deps.db.query<Model>(`SELECT ${columns.model('m')} FROM goal_model m WHERE id = $1`, [id])
    const kind = deps.kinds.get(model?.kind ?? '')
    const engine = deps.engines.get(model?.engine ?? '')
    if (!model || !kind || !engine)
      throw new TeatreeError(
        'UNKNOWN_KIND',
        `Model ${id} is of kind ${model?.kind} on ${model?.engine}, which this server does not know.`,
      )
    return new Line(deps, model, epoch, kind, engine, await suspectsUpTo(deps.db, id))
  }

  /** Settles when everything that waited as it was called has ended, or the line has. */
  async wake(): Promise<void> {
    this.#again = true
    this.#pass ??= this.#run().finally(() => {
      this.#pass = null
    })
    return this.#pass
  }

  get busy(): boolean {
    return this.#pass !== null
  }

  /** Lets the batch under way finish within `graceMs`, else aborts it; what was not applied goes back to the line. */
  async close(graceMs = 5000): Promise<void> {
    const late = setTimeout(() => this.#stop.abort(new Error('the manager stops')), graceMs)
    this.#closing = true
    await this.#pass?.catch(() => {})
    clearTimeout(late)
    this.#stop.abort()
    await this.#closeWriter()
    await giveBack(this.#deps.db, { model: this.model, epoch: this.#epoch }).catch(() => {})
    await this.#files.removeScratch()
  }
  #closing = false

  async #run(): Promise<void> {
    while (this.#again && !this.#closing) {
      this.#again = false
      try {
        while (!this.#closing && (await this.#batch())) this.#failures = 0
      } catch (error) {
        if (error instanceof Fenced) throw error
        await this.#blocked(error)
        this.#again = true
      }
    }
    this.idleSince = performance.now()
  }

  /** Takes and ends one batch; false where nothing waits. */
  async #batch(): Promise<boolean> {
    const { db, log } = this.#deps
    if (!this.#deps.safe(this.model)) throw new Fenced(`the lease of ${this.model} is about to end`)
    const batch = await takeBatch(db, { model: this.model, epoch: this.#epoch, singly: this.#suspects > 0n })
    const [first] = batch
    const last = batch.at(-1)
    if (!first || !last) {
      this.#suspects = 0n
      return false
    }
    if (last.seq >= this.#suspects) this.#suspects = 0n
    await Promise.all(batch.map(waited))
    await span(
      'batch',
      {
        parent: first.traceparent,
        links: batch.slice(1).map(intent => intent.traceparent),
        attributes: { 'teatree.model': this.model, 'teatree.intents': batch.length },
      },
      async () => {
        const endings = first.solo > MAX_DEATHS ? [parked(first)] : await this.#apply(batch)
        await this.#publish(batch, endings)
      },
    )
    log.debug({ model: this.model, version: this.#version, intents: batch.length }, 'batch ended')
    return true
  }

  async #apply(batch: readonly Intent[]): Promise<Ending[]> {
    const writer = await this.#opened()
    await using prepared = await prepareWork(
      this.#deps,
      this.#kind,
      batch,
      this.#files.scratchDir(this.#epoch),
      this.#stop.signal,
    )
    const ready = prepared.items.flatMap(item => (item.is === 'work' ? [item.work] : []))
    const outcomes = await span('apply', {}, () => this.#applyWork(writer, ready))
    const byIntent = new Map(ready.map((work, index) => [work.intentId, outcomes[index]]))
    return batch.map((intent, index) => {
      const item = prepared.items[index]
      const outcome = item?.is === 'refused' ? { ok: false as const, error: item.error } : byIntent.get(intent.id)
      if (!outcome) throw new Error(`intent ${intent.id} has no outcome`)
      return ending(intent, outcome)
    })
  }

  #applyWork(writer: Writer, work: readonly Work[]): Promise<WorkOutcome[]> {
    return work.length === 0 ? Promise.resolve([]) : writer.apply(work, this.#version + 1)
  }

  async #publish(batch: readonly Intent[], endings: readonly Ending[]): Promise<void> {
    const { publisher, onPublished } = this.#deps
    const changed = endings.some(({ status }) => status === 'PUBLISHED')
    const next = this.#version + 1
    await span('publish', { attributes: { 'teatree.version': changed ? next : this.#version } }, async () => {
      const writer = changed ? await this.#opened() : null
      const made = writer && (await this.#files.make(next, this.#epoch, dir => writer.snapshot(dir)))
      const snapshot = made && { dir: this.#files.versionDir(next, this.#epoch), ...made }
      this.#version = await publisher.publish({
        model: this.model,
        kind: this.#kind,
        epoch: this.#epoch,
        after: this.#version,
        endings,
        lastSeq: batch.at(-1)?.seq ?? 0n,
        snapshot,
      })
    })
    for (const [index, { status }] of endings.entries()) {
      const submitted = Date.parse(batch[index]?.submittedAt ?? '')
      metrics.submittedToVisible.record((Date.now() - submitted) / 1000, {
        kind: this.#kind.name,
        function: batch[index]?.function ?? '',
      })
      metrics.intentsEnded.add(1, { kind: this.#kind.name, function: batch[index]?.function ?? '', status })
    }
    if (changed) onPublished(this.model, this.#version)
  }

  /** The writer, from the newest published version; opened when it is first needed, and again after a fault. */
  async #opened(): Promise<Writer> {
    if (this.#writer) return this.#writer
    const { db } = this.#deps
    const [newest] = await db.query<Version & { files: string[] }>(
      `SELECT ${columns.version('v')}, coalesce((SELECT json_agg(c.name) FROM content_index c
                WHERE c.model = v.model AND c.version = v.version AND c.form = m.engine), '[]') AS files
         FROM goal_model m JOIN model_version v ON v.model = m.id AND v.version = m.version WHERE m.id = $1 AND m.epoch = $2`,
      [this.model, this.#epoch],
    )
    if (!newest) throw new Fenced(`model ${this.model} is no longer held by epoch ${this.#epoch}`)
    this.#version = newest.version
    const from = newest.version === 0 ? null : this.#files.snapshotFiles(newest, newest.files)
    const dir = await this.#files.scratch(this.#epoch)
    this.#writer = await this.#engine.openWriter({ kind: this.#kind, kinds: this.#deps.kinds, dir, from })
    return this.#writer
  }

  async #closeWriter(): Promise<void> {
    const writer = this.#writer
    this.#writer = null
    await writer
      ?.close()
      .catch(error => this.#deps.log.warn({ model: this.model, err: error }, 'the writer did not close'))
  }

  /** A fault of the surroundings: no intent fails for it. The model says why, and tries again. */
  async #blocked(error: unknown): Promise<void> {
    const { db, log } = this.#deps
    if (this.#closing) return
    log.error({ model: this.model, err: error }, 'the model is blocked')
    await this.#closeWriter()
    const delay = Math.min(1000 * 2 ** this.#failures++, 60_000)
    const reason = error instanceof TeatreeError ? error : new TeatreeError('UNAVAILABLE', surroundings(error))
    try {
      await giveBack(db, { model: this.model, epoch: this.#epoch })
      await db.transaction(async tx => {
        await tx.query(
          `UPDATE goal_model SET blocked = $3, retry_at = clock_timestamp() + make_interval(secs => $4) WHERE id = $1 AND epoch = $2`,
          [this.model, this.#epoch, JSON.stringify(intentError(reason)), delay / 1000],
        )
        await notifyModel(tx, this.model)
      })
    } catch (failure) {
      log.warn({ model: this.model, err: failure }, 'that the model is blocked could not be written down')
    }
    await wait(delay, undefined, { signal: this.#stop.signal, ref: false }).catch(() => {})
  }
}

/** The time in the line, in the intent's own trace, whichever batch it came to be in. */
const waited = (intent: Intent): Promise<void> =>
  span('queue', { parent: intent.traceparent, startTime: new Date(intent.submittedAt) }, () => {})

function ending(intent: Intent, outcome: WorkOutcome): Ending {
  if (outcome.ok) return { intent: intent.id, status: 'PUBLISHED', result: outcome.result }
  const { error } = outcome
  const shown =
    error instanceof TeatreeError
      ? error
      : new TeatreeError('INTERNAL', `The intent failed by a fault of the server (${intent.id}).`)
  return { intent: intent.id, status: 'FAILED', error: intentError(shown) }
}

const parked = (intent: Intent): Ending => ({
  intent: intent.id,
  status: 'PARKED',
  error: intentError(
    new TeatreeError(
      'INTERNAL',
      `The intent took its manager down ${MAX_DEATHS} times and was set aside; retryIntent tries it again.`,
    ),
  ),
})

/** What may be said of a fault: its system code, never a path. */
function surroundings(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code
  const known: Record<string, string> = {
    ENOSPC: 'The disk is full.',
    EDQUOT: 'The disk quota is used up.',
    EIO: 'The disk failed.',
    EMFILE: 'Too many files are open.',
  }
  return (typeof code === 'string' && known[code]) || 'The model cannot be written at the moment; it is tried again.'
}
