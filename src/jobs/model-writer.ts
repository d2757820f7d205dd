import type { Checksums, Engine, Writer } from '../engine/engine.ts'
import { SnapshotDamaged } from '../engine/snapshot-damaged.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { checkAsPublished } from './as-published.ts'
import { markLost, VersionLost } from './lost.ts'
import type { ModelFiles } from './model-files.ts'
import { Fenced } from './publish.ts'
import { columns, type Version } from './records.ts'

interface Deps {
  db: Database
  files: ModelFiles
  kind: Kind
  kinds: Kinds
  engine: Engine
  log: Log
  model: string
  epoch: number
}

/** A model's one writer in an epoch: opened when it is first needed, from the newest published version, and again after a fault. */
export class ModelWriter {
  readonly #deps: Deps
  #writer: Promise<Writer> | null = null
  #version = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The newest published version, as of the writer's opening. Throws Fenced where the epoch is over, and VersionLost where
   * the files are not what was published: nothing may be built on them, and they are made again.
   */
  async opened(): Promise<{ writer: Writer; version: number }> {
    this.#writer ??= this.#open().catch(error => {
      this.#writer = null
      throw error
    })
    return { writer: await this.#writer, version: this.#version }
  }

  /** Opens it for who will ask for it in a moment, and learns then what is wrong. */
  openAhead(): void {
    this.opened().catch(() => {})
  }

  /** What was published since. */
  movedOn(version: number): void {
    this.#version = version
  }

  /** Makes the next versions cheaper, while nobody waits; what fails of it is met by the next batch, if it still does. */
  async tidy(): Promise<void> {
    try {
      await (await this.#writer)?.tidy()
    } catch (error) {
      this.#deps.log.warn({ model: this.#deps.model, err: error }, 'the writer could not tidy up')
      await this.close()
    }
  }

  async #open(): Promise<Writer> {
    const { db, files, kind, kinds, engine, model, epoch } = this.#deps
    const kept = await db.again<Version & { checksums: Checksums; newest: boolean }>(
      `SELECT ${columns.version('v')}, ${columns.checksums('v', 'm')}, v.version = m.version AS newest
         FROM goal_model m JOIN model_version v ON v.model = m.id AND (v.kept OR v.version = m.version)
        WHERE m.id = $1 AND m.epoch = $2`,
      [model, epoch],
    )
    const newest = kept.find(version => version.newest)
    if (!newest) throw new Fenced(`model ${model} is no longer held by epoch ${epoch}`)
    this.#version = newest.version
    await files.sweep(epoch, kept)
    const { checksums } = newest
    const from = newest.version === 0 ? null : files.snapshotFiles(newest, Object.keys(checksums))
    let writer: Writer | undefined
    try {
      writer = await engine.openWriter({ kind, kinds, dir: await files.scratch(epoch), from, checksums })
      checkAsPublished(writer, newest)
      return writer
    } catch (error) {
      await writer?.close()
      if (!writer && !(error instanceof SnapshotDamaged)) throw error
      this.#deps.log.error({ model, version: newest.version, err: error }, 'a version is not written on')
      throw (await markLost(db, newest)) ? new VersionLost(newest) : error
    }
  }

  /** Nothing of it is left, also where it could not be opened: a disk that is full must not stay so for what came of it. */
  async close(): Promise<void> {
    const writer = await this.#writer?.catch(() => null)
    this.#writer = null
    const { files, log, model, epoch } = this.#deps
    await writer?.close().catch(error => log.warn({ model, err: error }, 'the writer did not close'))
    await files
      .removeScratch(epoch)
      .catch(error => log.warn({ model, err: error }, 'the scratch folder was not removed'))
  }
}
