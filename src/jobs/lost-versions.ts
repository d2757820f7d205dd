import { rm } from 'node:fs/promises'
import type { Engine } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { span } from '../platform/telemetry/index.ts'
import type { Archive } from './archives.ts'
import { forgetFiles } from './content.ts'
import { NOT_NEEDED } from './let-go.ts'
import { areThere, markLost, markLostSource } from './lost.ts'
import type { ModelFiles } from './model-files.ts'
import { Pauses } from './pauses.ts'
import { EpochSpent, Fenced } from './publish.ts'
import { Rebuild } from './rebuild.ts'
import { markDamaged, publishRebuilt } from './rebuilt.ts'
import { columns } from './records.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
  files: ModelFiles
  signal: AbortSignal
}

interface Lost {
  version: number
  epoch: number
  isNewest: boolean
}

/** Between two tries of an older version that cannot be made again. */
const RETRY_MS = { first: 3000 }

/**
 * The versions of one model whose files are lost, in the manager that holds it: the newest is made again first, then those
 * that are pinned or read; the others are let go. Only for the newest is the model BLOCKED where that fails.
 *
 * One that was lost in this epoch ends it: files of an epoch are never others than they were.
 *
 *   lost ─▶ archive + ledger ─▶ files in a folder of this epoch ─▶ "where epoch = mine": served again
 */
export class LostVersions {
  readonly #deps: Deps
  readonly #model: string
  readonly #epoch: number
  readonly #pauses = new Pauses<number>(RETRY_MS)
  #isToLook = true
  #isToLookForFiles = true

  constructor(deps: Deps, { model, epoch }: { model: string; epoch: number }) {
    this.#deps = deps
    this.#model = model
    this.#epoch = epoch
  }

  /** There may be lost versions. */
  look(): void {
    this.#isToLook = true
  }

  /** And files of versions that are not known to be lost may not be there. */
  lookForFiles(): void {
    this.#isToLook = true
    this.#isToLookForFiles = true
  }

  /** Makes one version again; false where none is lost, or those that are have to wait. Throws where the newest cannot be made. */
  async next(): Promise<boolean> {
    if (!this.#isToLook) return false
    if (this.#isToLookForFiles) await this.#lookForFiles()
    this.#isToLookForFiles = false
    const lost = (await this.#needed()).find(({ version }) => !this.#pauses.isPaused(version))
    if (!lost) {
      this.#isToLook = false
      return false
    }
    try {
      // Readers tell its files from those that were lost by the epoch, and may have these open.
      if (lost.epoch === this.#epoch) throw new EpochSpent(`version ${lost.version} was made in epoch ${this.#epoch}`)
      await this.#make(lost.version)
      this.#pauses.clear(lost.version)
      return true
    } catch (error) {
      await markLostSource(this.#deps.db, error)
      if (lost.isNewest || error instanceof Fenced || this.#deps.signal.aborted) throw error
      this.#pauses.failed(lost.version)
      const { log } = this.#deps
      log.error({ model: this.#model, version: lost.version, err: error }, 'a version was not made again')
      return this.next()
    }
  }

  /** What is not there is lost. Whether it is what was published shows when it is read, or written on (model-writer.ts). */
  async #lookForFiles(): Promise<void> {
    const { db, files, log } = this.#deps
    const kept = await db.query<{ version: number; epoch: number; files: string[] }>(
      `SELECT v.version, v.epoch, ${columns.files('v', 'm')}
         FROM goal_model m JOIN model_version v ON v.model = m.id AND v.kept
        WHERE m.id = $1 AND m.epoch = $2 AND NOT v.lost AND v.version > 0`,
      [this.#model, this.#epoch],
    )
    for (const version of kept) {
      const dir = files.versionDir(version.version, version.epoch)
      if (version.files.length > 0 && (await areThere(version.files.map(name => `${dir}/${name}`)))) continue
      log.error({ model: this.#model, version: version.version }, 'files of a version are not there')
      await markLost(db, { model: this.#model, ...version })
    }
  }

  /** Lets those go that nobody needs; the others, in the order in which they are to be made again. */
  async #needed(): Promise<Lost[]> {
    return this.#deps.db.transaction(async tx => {
      // As in let-go.ts: locked by one statement and looked at by the next.
      const lost = await tx.query<Lost>(
        `SELECT v.version, v.epoch, v.version = m.version AS "isNewest"
           FROM goal_model m JOIN model_version v ON v.model = m.id
          WHERE m.id = $1 AND m.epoch = $2 AND m.deleted_at IS NULL AND v.lost AND v.kept
          ORDER BY v.version DESC FOR NO KEY UPDATE OF v`,
        [this.#model, this.#epoch],
      )
      const older = lost.filter(({ isNewest }) => !isNewest).map(({ version }) => version)
      if (older.length === 0) return lost
      const gone = await tx.query<{ version: number }>(
        `UPDATE model_version v SET kept = false
          WHERE v.model = $1 AND v.version = ANY($2) AND ${NOT_NEEDED} RETURNING v.version`,
        [this.#model, older],
      )
      const versions = new Set(gone.map(({ version }) => version))
      await forgetFiles(tx, this.#model, [...versions])
      return lost.filter(({ version }) => !versions.has(version))
    })
  }

  async #make(version: number): Promise<void> {
    const { db, files, log, signal } = this.#deps
    const attributes = { 'teatree.model': this.#model, 'teatree.version': version }
    await span('rebuild', { attributes }, async () => {
      log.warn({ model: this.#model, version }, 'a version is made again from archive and ledger')
      const folder = await files.rebuild(this.#epoch)
      try {
        const held = { model: this.#model, epoch: this.#epoch }
        const onDamaged = async (archive: Archive) => {
          if (archive.model === this.#model) await markDamaged(db, archive, this.#epoch)
        }
        await using rebuild = new Rebuild({ ...this.#deps, onDamaged }, folder, signal)
        const made = await files.make(version, this.#epoch, dir => rebuild.make(this.#model, version, dir))
        const dir = files.versionDir(version, this.#epoch)
        const isServed = await publishRebuilt(db, { ...held, version, dir, files: made.files })
        if (!isServed) await files.removeVersion(version, this.#epoch)
      } finally {
        await rm(folder, { recursive: true, force: true })
      }
      log.info({ model: this.#model, version }, 'a version was made again')
    })
  }
}
