import { setTimeout as wait } from 'node:timers/promises'
import type { Engine } from '../engine/engine.ts'
import type { Kind, KindShape, Kinds } from '../kinds/kind.ts'
import { shapeDifference } from '../kinds/shape.ts'
import { TeatreeError } from '../platform/errors.ts'
import { reach } from '../platform/kill-points.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { Batches } from './batches.ts'
import { clearBlocked, markBlocked } from './blocked.ts'
import { LostVersions } from './lost-versions.ts'
import { ModelFiles } from './model-files.ts'
import { ModelWriter } from './model-writer.ts'
import { Pace } from './pace.ts'
import { Pauses } from './pauses.ts'
import { Fenced, type Publisher } from './publish.ts'
import { columns, type Model } from './records.ts'
import { findLine } from './take.ts'
import { Takes } from './takes.ts'
import { forTheLine } from './work.ts'

/** When nothing has come for so long, the line takes the time to make the next versions cheaper. */
const QUIET_MS = 200

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
  onPublished(model: string): void
  /** What the last manager may have died of has ended. */
  onCleared(model: string): void
}

/**
 * The line of one model in the manager that holds its lease: one batch after another, and nobody else's.
 *
 *   wake ─▶ take ─▶ apply ─▶ snapshot ─▶ publish ─┐       refused intent: FAILED, the line goes on
 *            ▲                                     │       fault of the surroundings: BLOCKED, again with backoff
 *            └───────── while intents wait ────────┘       epoch over: the line ends
 *
 * Before the first batch, and between batches where files are found to be lost, versions are made again (lost-versions.ts).
 */
export class Line {
  readonly #deps: LineDeps
  readonly #files: ModelFiles
  readonly model: string
  readonly #epoch: number
  /** No further batch is begun, and none is waited for. */
  readonly #closing = new AbortController()
  /** The batch under way is stopped. */
  readonly #stop = new AbortController()
  readonly #writer: ModelWriter
  readonly #pace = new Pace()
  /** Goes off when the line has been quiet; set while there is something to tidy up. */
  #quiet: NodeJS.Timeout | null = null
  #isQuiet = false
  readonly #lost: LostVersions
  readonly #takes: Takes
  readonly #batches: Batches
  /** Whether more waits behind the batch under way. */
  #hasMore = false
  #suspects: bigint
  /** Whether intents are known to wait for the first batch. */
  #waits: boolean
  #isBlocked: boolean
  /** Until what has blocked it is tried again. */
  #isWaiting = false
  /** Whether the newest version was made with another shape of the kind. */
  #hasChanged: boolean
  #pass: Promise<void> | null = null
  #again = false
  /** Between two tries of the model while it is blocked. */
  readonly #pauses = new Pauses<'model'>()
  /** When the last intent ended, on the monotonic clock; for letting idle models go. */
  idleSince = performance.now()

  private constructor(
    deps: LineDeps,
    model: Model,
    epoch: number,
    { kind, engine, suspects, waits }: { kind: Kind; engine: Engine; suspects: bigint; waits: boolean },
  ) {
    this.#deps = deps
    this.#files = new ModelFiles(deps.dataDir, model.id)
    this.model = model.id
    this.#epoch = epoch
    this.#writer = new ModelWriter({ ...deps, files: this.#files, kind, engine, model: model.id, epoch })
    this.#lost = new LostVersions(
      { ...deps, files: this.#files, signal: this.#stop.signal },
      { model: model.id, epoch },
    )
    this.#takes = new Takes({ ...deps, model: model.id, epoch })
    this.#batches = new Batches({
      model: model.id,
      epoch,
      kind,
      files: this.#files,
      writer: this.#writer,
      publisher: deps.publisher,
      work: forTheLine({ ...deps, epoch }),
      signal: this.#stop.signal,
      onPublished: published => this.#published(published),
    })
    this.#isBlocked = model.blocked !== null
    this.#suspects = suspects
    this.#waits = waits
    this.#hasChanged = model.version > 0 && differs(model.shape, kind.shape)
  }

  /** The line of a model whose lease was just acquired with `epoch`. */
  static async open(deps: LineDeps, id: string, epoch: number): Promise<Line> {
    const [[model], found] = await Promise.all([
      deps.db.again<Model>(`SELECT ${columns.model('m')} FROM goal_model m WHERE id = $1`, [id]),
      findLine(deps.db, id),
    ])
    const kind = deps.kinds.get(model?.kind ?? '')
    const engine = deps.engines.get(model?.engine ?? '')
    if (!model || !kind || !engine)
      throw new TeatreeError(
        'UNKNOWN_KIND',
        `Model ${id} is of kind ${model?.kind} on ${model?.engine}, which this server does not know.`,
      )
    return new Line(deps, model, epoch, { kind, engine, ...found })
  }

  /** Settles when everything that waited as it was called has ended, or the line has. Rejects where it has. */
  wake(): Promise<void> {
    this.#again = true
    this.#pass ??= this.#run()
    return this.#pass
  }

  /** Somebody found that files of a version are not there. */
  wakeForLost(): Promise<void> {
    this.#lost.look()
    return this.wake()
  }

  /** Whether the last manager may have died of what is yet to be ended. */
  get hasSuspects(): boolean {
    return this.#suspects > 0n
  }

  get busy(): boolean {
    return this.#pass !== null
  }

  /** Whether intents are being applied or published, or will be in a moment: a line that is busy may also be blocked. */
  get isAtWork(): boolean {
    return this.busy && !this.#isWaiting
  }

  /**
   * Lets the batch under way finish within `graceMs`, else aborts it; what was not applied goes back to the line, when the database
   * is there to be told, or at once or not at all where the process stops. The line is woken no more.
   */
  async close(stopping: AbortSignal, graceMs = 5000): Promise<void> {
    this.#closing.abort()
    clearTimeout(this.#quiet ?? undefined)
    const late = setTimeout(() => this.#stop.abort(new Error('the manager stops')), graceMs)
    await this.#pass?.catch(() => {})
    clearTimeout(late)
    this.#stop.abort()
    try {
      await this.#writer.close()
    } finally {
      await this.#takes.close(stopping)
    }
  }

  async #run(): Promise<void> {
    // Behind the caller, who has yet to note down that this pass is under way.
    await null
    try {
      while ((this.#again || this.#isQuiet) && !this.#closing.signal.aborted) {
        const looks = this.#again
        this.#again = false
        try {
          for (let more = looks; more && !this.#closing.signal.aborted; ) {
            more = await this.#step()
            this.#pauses.clear('model')
            await this.#rest(this.#pace.restMs(performance.now()))
          }
          if (this.#isQuiet) await this.#tidy()
        } catch (error) {
          if (error instanceof Fenced) throw error
          await this.#blocked(error)
          this.#again = true
        }
      }
    } finally {
      this.idleSince = performance.now()
      // In the same breath as the last look at #again, so that nobody is told to wait for a pass that looks no more.
      this.#pass = null
    }
  }

  /**
   * One lost version made again, and one batch ended: neither waits until all of the other is done. False where nothing is
   * known to wait: what has come since has woken the line again.
   */
  async #step(): Promise<boolean> {
    const made = await this.#lost.next()
    if (made) {
      // The next versions would be links to what the lost one was one to.
      await this.#writer.close()
      this.#deps.onPublished(this.model)
    }
    return (await this.#batch()) || made
  }

  /** Takes and ends one batch; false where nothing waited behind it. */
  async #batch(): Promise<boolean> {
    const { log, safe } = this.#deps
    if (!safe(this.model)) throw new Fenced(`the lease of ${this.model} is about to end`)
    // What comes with the kind comes before what waits.
    this.#hasMore = true
    if (this.#hasChanged) await this.#batches.takeUpKind()
    this.#hasChanged = false
    // What is to be applied, and what it is applied to, are waited for together.
    if (this.#waits) this.#writer.openAhead()
    this.#waits = false
    const isSingly = this.hasSuspects
    const taken = await this.#takes.next(isSingly)
    const { batch, more } = taken
    this.#hasMore = more
    const [first, ...others] = batch
    if (!first) {
      await this.#nothingWaits()
      return false
    }
    reach('batch.taken')
    if (!isSingly) this.#takes.takeBehind(taken)
    try {
      await this.#batches.end([first, ...others])
    } catch (error) {
      await this.#takes.giveBack(batch)
      reach('batch.given-back')
      throw error
    }
    if ((others.at(-1) ?? first).seq >= this.#suspects) this.#clear()
    this.#isBlocked = false
    log.debug({ model: this.model, intents: batch.length }, 'batch ended')
    return more
  }

  #clear(): void {
    if (!this.hasSuspects) return
    this.#suspects = 0n
    this.#deps.onCleared(this.model)
  }

  /** What blocked the model may have ended in another way: its intents cancelled, or published after all. */
  async #nothingWaits(): Promise<void> {
    this.#clear()
    this.#pauses.clear('model')
    if (!this.#isBlocked) return
    await clearBlocked(this.#deps.db, { model: this.model, epoch: this.#epoch })
    this.#isBlocked = false
  }

  #published({ intents, startedAt }: { intents: number; startedAt: number }): void {
    this.#pace.published({ intents, more: this.#hasMore, startedAt, endedAt: performance.now() })
    this.#tidyWhenQuiet()
    this.#deps.onPublished(this.model)
  }

  /** A fault of the surroundings: no intent fails for it. The model says why, and tries again. */
  async #blocked(error: unknown): Promise<void> {
    const { db, log } = this.#deps
    await this.#takes.giveBack([])
    // What the database holds now is not known, and a batch that is stopped has left a part of itself in it.
    await this.#writer.close()
    if (this.#closing.signal.aborted) return
    // It may be that files of the newest version are not there, or are found not to be what was published.
    this.#lost.lookForFiles()
    log.error({ model: this.model, err: error }, 'the model is blocked')
    const retryMs = this.#pauses.failed('model')
    this.#isBlocked = true
    await markBlocked(db, { model: this.model, epoch: this.#epoch, error, retryMs }).catch(failure =>
      log.warn({ model: this.model, err: failure }, 'that the model is blocked could not be written down'),
    )
    this.#isWaiting = true
    await this.#rest(retryMs)
    this.#isWaiting = false
  }

  /** Until then, or until the line closes. */
  async #rest(ms: number): Promise<void> {
    if (ms > 0) await wait(ms, undefined, { signal: this.#closing.signal, ref: false }).catch(() => {})
  }

  async #tidy(): Promise<void> {
    this.#isQuiet = false
    await this.#writer.tidy()
  }

  #tidyWhenQuiet(): void {
    this.#quiet ??= setTimeout(() => {
      this.#quiet = null
      this.#isQuiet = true
      this.#pass ??= this.#run()
      // What becomes of the pass, its next waker learns.
      this.#pass.catch(() => {})
    }, QUIET_MS).unref()
    this.#quiet.refresh()
  }
}

function differs(old: KindShape, now: KindShape): boolean {
  const { additive, breaking } = shapeDifference(old, now)
  return additive.length + breaking.length > 0
}
