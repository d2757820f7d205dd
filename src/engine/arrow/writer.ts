import { mkdir } from 'node:fs/promises'
import type { Table } from '../../kinds/kind.ts'
import { eachAtOnce } from '../../platform/each-at-once.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { reach } from '../../platform/kill-points.ts'
import type { Log } from '../../platform/log.ts'
import { machineMemory } from '../duckdb/machine-memory.ts'
import type { MadeSnapshot, SnapshotRef, TableRows, Work, WorkOutcome, Writer, WriterOptions } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { applyBatch } from './apply-batch.ts'
import { anyRun, lastRun, merged } from './compaction.ts'
import { FileChecks } from './file-checks.ts'
import { type TableFile, writeManifest } from './manifest.ts'
import { adoptVersion, emptyModel, type ModelState, tablesOfShape, withAdditions } from './model.ts'
import { rowsIn } from './row-writes.ts'
import { beginScenario } from './scenario.ts'
import { ScratchFiles } from './scratch-files.ts'

export interface ArrowWriterOptions extends WriterOptions {
  /** Where a fault of a kind's function is told, of which clients learn the id alone. */
  log: Pick<Log, 'error'>
  /** What functions may take; a quarter of the machine's memory (or the container's) where left out. */
  memoryBytes?: number | undefined
}

/**
 * Opens the tables of a model for writing, in the empty folder `dir`.
 * @throws TeatreeError KIND_CHANGED where the model was made with a shape of the kind that this one cannot take up
 * @throws SnapshotDamaged where `from` is not what its checksums say
 * @throws SurroundingsError
 */
export async function openArrowWriter(options: ArrowWriterOptions): Promise<ArrowWriter> {
  const { kind, dir, from, checksums } = options
  const scratch = new ScratchFiles(dir)
  try {
    const state = from === null ? emptyModel(kind) : await adoptVersion(scratch, kind, from, checksums)
    return new ArrowWriter(options, scratch, state)
  } catch (error) {
    await scratch.sweep([]).catch(() => {})
    if (error instanceof TeatreeError || error instanceof SnapshotDamaged) throw error
    throw new SurroundingsError('the model could not be opened', error)
  }
}

/**
 * One call at a time. After a call that threw, nothing but `close` is to be had of it.
 *
 *   apply ──▶ files in the writer's folder, not synced ── snapshot: few small ones become one, synced ──▶ links in a version's folder
 */
export class ArrowWriter implements Writer {
  readonly #options: ArrowWriterOptions
  readonly #scratch: ScratchFiles
  #state: ModelState
  readonly #checks = new FileChecks()
  readonly #grownSince = new Map<string, number>()
  readonly #closing = new AbortController()
  #call: Promise<unknown> | undefined
  #isBroken = false
  #closed: Promise<void> | undefined

  constructor(options: ArrowWriterOptions, scratch: ScratchFiles, state: ModelState) {
    this.#options = options
    this.#scratch = scratch
    this.#state = state
    this.#replaced(state.version)
  }

  get version(): number {
    return this.#state.version
  }

  get lastSeq(): bigint {
    return this.#state.lastSeq
  }

  get hasAdditions(): boolean {
    return this.#state.additions.length > 0
  }

  apply(work: readonly Work[], version: number): Promise<WorkOutcome[]> {
    const signal = AbortSignal.any([this.#closing.signal, ...new Set(work.map(each => each.signal))])
    return this.#only(signal, async () => {
      const [first] = work
      // A copy is always alone.
      const outcomes =
        first?.change.is === 'copy'
          ? [await this.#begin(first.change.from, version, signal)]
          : await this.#apply(work, version, signal)
      this.#state = { ...this.#state, version, lastSeq: work.at(-1)?.seq ?? this.lastSeq }
      await this.#sweep()
      return outcomes
    })
  }

  snapshot(dir: string): Promise<MadeSnapshot> {
    return this.#only(this.#closing.signal, async () => {
      await this.#merge(lastRun)
      await mkdir(dir, { recursive: true })
      const tables: Record<string, TableFile[]> = {}
      for (const { name } of this.#tables()) {
        const files = this.#state.tables.get(name) ?? []
        await eachAtOnce(files, this.#closing.signal, file => this.#scratch.seal(file))
        const published: TableFile[] = []
        for (const file of files) published.push(await this.#scratch.publish(file, dir))
        tables[name] = published
      }
      reach('arrow.linked')
      const { version, lastSeq, shape } = this.#state
      const manifest = await writeManifest(dir, { version, lastSeq, shape, tables })
      const files = Object.values(tables).flat()
      return {
        files: [manifest, ...files.map(({ name, bytes, sha256 }) => ({ name, bytes, sha256 }))],
        tables: this.#tableRows(),
      }
    })
  }

  /** Makes one of small files, also of those that deletes left behind between others. */
  tidy(): Promise<void> {
    return this.#only(this.#closing.signal, () => this.#merge(anyRun))
  }

  /** Stops what is under way; the folder is left to who made it. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    this.#closing.abort(new Error('the writer is closed'))
    await this.#call?.catch(() => {})
  }

  async #apply(work: readonly Work[], version: number, signal: AbortSignal): Promise<WorkOutcome[]> {
    const { kind, kinds, dir, log, memoryBytes = machineMemory() / 4 } = this.#options
    const onInternal = (id: string, err: unknown) => log.error({ err, id }, 'an intent failed by a fault of its kind')
    this.#state = withAdditions(this.#state, kind)
    const before = this.#state.tables
    const reading = { kinds, dir, checks: this.#checks }
    const context = { scratch: this.#scratch, kind, ...reading, signal, memoryBytes, onInternal }
    const { tables, outcomes } = await applyBatch(context, before, work)
    reach('arrow.applied')
    this.#state = { ...this.#state, tables }
    for (const [name, files] of tables) {
      // What only adds rows adds files.
      const isGrown = (before.get(name) ?? []).every((file, place) => files[place]?.name === file.name)
      if (!isGrown) this.#grownSince.set(name, version)
    }
    for (const place of work.keys()) {
      if (!outcomes[place]) throw new Error(`the intent at place ${place} of the batch has no outcome`)
    }
    return outcomes
  }

  async #begin(from: SnapshotRef, version: number, signal: AbortSignal): Promise<WorkOutcome> {
    const { kind, kinds, dir } = this.#options
    const deleted = rowsOfAll(this.#tableRows())
    const begun = await beginScenario({ scratch: this.#scratch, kind, kinds, dir, signal }, from)
    if ('ok' in begun) return begun
    this.#state = withAdditions(begun, kind)
    this.#replaced(version)
    const inserted = rowsOfAll(this.#tableRows())
    return { ok: true, result: { inserted: String(inserted), updated: '0', deleted: String(deleted) } }
  }

  async #merge(choose: typeof lastRun): Promise<void> {
    for (const table of this.#tables()) {
      for (;;) {
        const files = this.#state.tables.get(table.name) ?? []
        const run = choose(files)
        if (!run) break
        this.#closing.signal.throwIfAborted()
        const fewer = await merged(this.#scratch, table, files, run)
        this.#state = { ...this.#state, tables: new Map([...this.#state.tables, [table.name, fewer]]) }
      }
    }
    await this.#sweep()
  }

  #sweep(): Promise<void> {
    return this.#scratch.sweep([...this.#state.tables.values()].flat())
  }

  #tables(): Table[] {
    return tablesOfShape(this.#options.kind, this.#state.shape)
  }

  /** In the order of the kind. */
  #tableRows(): TableRows[] {
    return [...this.#options.kind.tables.keys()].map(name => ({
      name,
      rows: rowsIn(this.#state.tables.get(name) ?? []),
      grownSince: this.#grownSince.get(name) ?? 0,
    }))
  }

  /** Any table may be another with this version. */
  #replaced(version: number): void {
    for (const name of this.#options.kind.tables.keys()) this.#grownSince.set(name, version)
  }

  /** That one call runs at a time is not hoped for. What a call throws is of the surroundings, and breaks the writer. */
  async #only<T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> {
    if (this.#call) throw new Error('the writer does one call at a time')
    if (this.#isBroken || this.#closed) throw new Error('the writer is broken or closed')
    const calling = call()
    this.#call = calling
    try {
      return await calling
    } catch (error) {
      this.#isBroken = true
      throw signal.aborted ? signal.reason : new SurroundingsError('the model could not be written', error)
    } finally {
      this.#call = undefined
    }
  }
}

const rowsOfAll = (tables: readonly TableRows[]): number => tables.reduce((sum, { rows }) => sum + rows, 0)
