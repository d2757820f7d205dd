import { link, mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Engine, MadeSnapshot, SnapshotFiles } from '../engine/engine.ts'
import type { Kind, Kinds } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { type Archive, archivesUpTo } from './archives.ts'
import { DamagedArchive, fetchArchive } from './fetch-archive.ts'
import { recordedReads } from './recorded-reads.ts'
import { differs, Replay } from './replay.ts'

export interface RebuildDeps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  /** Told of an archive that is not what it was; an older one is taken then. */
  onDamaged(archive: Archive): Promise<void>
}

/** A version as PostgreSQL knows it: what has to come out. */
export interface Wanted {
  model: string
  version: number
  lastSeq: bigint
  tables: readonly { name: string; rows: number }[]
  kind: string
  engine: string
}

/**
 * Makes versions again that have been published, of the object store and the ledger alone:
 *
 *   newest archive at or before N ─▶ its files ─▶ the ledger's published intents up to N, applied again in order ─▶ N
 *                                                     └─ read S@7 ─▶ its files, or made again in the same way
 *
 * Intents have the clock, randomness and reads that they had; each must end as it did. What is fetched and made on the way
 * is below `folder`. Nothing of the models themselves is touched, so no lease of theirs is needed.
 */
export class Rebuild implements AsyncDisposable {
  readonly #deps: RebuildDeps
  readonly #folder: string
  readonly #signal: AbortSignal
  /** Of models that are read: how far each was made, to go on from for the next version of it. */
  readonly #sources = new Map<string, Replay>()
  /** Files of versions that are read, by MODEL@VERSION. */
  readonly #made = new Map<string, { folder: string; files: SnapshotFiles }>()
  #folders = 0

  constructor(deps: RebuildDeps, folder: string, signal: AbortSignal) {
    this.#deps = deps
    this.#folder = folder
    this.#signal = signal
  }

  /**
   * Makes the files of a version in the folder `dir`.
   * @throws TeatreeError UNAVAILABLE where the store is away; UNKNOWN_KIND, KIND_CHANGED; INTERNAL where what comes out is
   *   not what was published
   */
  async make(model: string, version: number, dir: string): Promise<MadeSnapshot> {
    const wanted = await this.#wanted(model, version)
    const { made } = await this.#begun(wanted, async archive => {
      if (archive?.version === version) return { made: await this.#restore(archive, wanted, dir) }
      await using replay = await this.#replay(archive, wanted)
      await replay.moveTo(version)
      return { made: await replay.writer.snapshot(dir) }
    })
    for (const { name, rows } of wanted.tables) {
      const found = made.tables.find(table => table.name === name)
      if (found?.rows !== rows)
        throw differs(wanted, `table ${name} has ${found?.rows ?? 'no'} rows instead of ${rows}`)
    }
    return made
  }

  /** Tries the archives that it can begin with, newest first, and in the end the ledger alone. */
  async #begun<T>(wanted: Wanted, begin: (archive: Archive | null) => Promise<T>): Promise<T> {
    const { db, log, onDamaged } = this.#deps
    const archives = await archivesUpTo(db, wanted.model, wanted.version)
    let damaged: unknown
    for (const archive of [...archives, null]) {
      try {
        return await begin(archive)
      } catch (error) {
        if (!archive) throw damaged ?? error
        if (!(error instanceof DamagedArchive)) throw error
        log.error({ model: archive.model, version: archive.version, err: error }, 'an archive is damaged')
        damaged ??= error
        await onDamaged(archive)
      }
    }
    throw damaged
  }

  async #wanted(model: string, version: number): Promise<Wanted> {
    const [wanted] = await this.#deps.db.query<Wanted>(
      `SELECT v.model, v.version, v.last_seq AS "lastSeq", v.tables, m.kind, m.engine
         FROM model_version v JOIN goal_model m ON m.id = v.model WHERE v.model = $1 AND v.version = $2`,
      [model, version],
    )
    if (!wanted) throw new Error(`there is no version ${version} of ${model}`)
    return wanted
  }

  /** The files of an archived version, in the empty folder `dir`. */
  async #restore(archive: Archive, { engine, model }: Wanted, dir: string): Promise<MadeSnapshot> {
    const { lastSeq } = await this.#wanted(model, archive.version)
    const folder = await this.#newFolder()
    try {
      const tables = await fetchArchive(this.#deps.objects, archive, folder, { signal: this.#signal })
      return await this.#engine(engine).restore({ ...archive, lastSeq, tables }, dir, { signal: this.#signal })
    } catch (error) {
      // Whatever came of it must not be in the way of the next try.
      await rm(dir, { recursive: true, force: true })
      await mkdir(dir, { recursive: true })
      throw error instanceof TeatreeError && error.code === 'BAD_FILE' ? new DamagedArchive(archive, error) : error
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  }

  /** A model as an archive of it has it, or empty, ready to have the ledger applied. */
  async #replay(archive: Archive | null, wanted: Wanted): Promise<Replay> {
    const { db, objects, kinds } = this.#deps
    const kind = this.#kind(wanted)
    const [base, folder] = [await this.#newFolder(), await this.#newFolder()]
    const made = archive ? await this.#restore(archive, wanted, base) : null
    const from = made && Object.fromEntries(made.files.map(({ name }) => [name, join(base, name)]))
    return new Replay({
      db,
      objects,
      kind,
      model: wanted.model,
      writer: await this.#engine(wanted.engine).openWriter({ kind, kinds, dir: folder, from }),
      folder,
      // What a writer was opened from may become a part of what it makes.
      base,
      signal: this.#signal,
      reads: (fn, intent) => recordedReads(this.#deps, this, fn, intent),
    })
  }

  /** The files of a version that an intent read, made again where they are not there. They last until `keepOnly`. */
  async filesOf(model: string, version: number): Promise<SnapshotFiles> {
    const key = `${model}@${version}`
    const there = this.#made.get(key)
    if (there) return there.files
    const wanted = await this.#wanted(model, version)
    const folder = await this.#newFolder()
    // Taken out while it is at work: what it reads may be an older version of the same model.
    let replay = this.#sources.get(model)
    this.#sources.delete(model)
    if (replay && replay.version > version) {
      await replay[Symbol.asyncDispose]()
      replay = undefined
    }
    replay ??= await this.#begun(wanted, archive => this.#replay(archive, wanted))
    try {
      await replay.moveTo(version)
      const { files } = await replay.writer.snapshot(folder)
      const paths = Object.fromEntries(files.map(({ name }) => [name, join(folder, name)]))
      this.#made.set(key, { folder, files: paths })
      return paths
    } finally {
      await this.#sources.get(model)?.[Symbol.asyncDispose]()
      this.#sources.set(model, replay)
    }
  }

  /**
   * The files of a version that is there, under names of its own: whatever becomes of the version, they are not taken for
   * those of a base that nobody needs any more. Null where they have gone by now. They last until `keepOnly`.
   */
  async hold(
    { model, version }: { model: string; version: number },
    files: SnapshotFiles,
  ): Promise<SnapshotFiles | null> {
    const key = `${model}@${version}`
    const there = this.#made.get(key)
    if (there) return there.files
    const folder = await this.#newFolder()
    const held = Object.fromEntries(Object.keys(files).map(name => [name, join(folder, name)]))
    for (const [name, path] of Object.entries(files)) {
      const isHeld = await link(path, held[name] ?? '').then(
        () => true,
        () => false,
      )
      if (!isHeld) {
        await rm(folder, { recursive: true, force: true })
        return null
      }
    }
    this.#made.set(key, { folder, files: held })
    return held
  }

  /** Removes the files of versions that were read before, and are not any more. */
  async keepOnly(versions: readonly { model: string; version: number }[]): Promise<void> {
    const kept = new Set(versions.map(({ model, version }) => `${model}@${version}`))
    for (const [key, { folder }] of this.#made) {
      if (kept.has(key)) continue
      this.#made.delete(key)
      await rm(folder, { recursive: true, force: true })
    }
  }

  #engine(name: string): Engine {
    const engine = this.#deps.engines.get(name)
    if (engine) return engine
    throw new TeatreeError('ENGINE_NOT_SUPPORTED', `This server does not have the engine ${name}.`)
  }

  #kind({ model, kind: name }: Wanted): Kind {
    const kind = this.#deps.kinds.get(name)
    if (kind) return kind
    throw new TeatreeError('UNKNOWN_KIND', `Model ${model} is of kind ${name}, which this server does not know.`)
  }

  async #newFolder(): Promise<string> {
    this.#folders += 1
    const folder = join(this.#folder, String(this.#folders))
    await mkdir(folder, { recursive: true })
    return folder
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const replay of this.#sources.values()) await replay[Symbol.asyncDispose]()
  }
}
