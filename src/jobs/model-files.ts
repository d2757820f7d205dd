import { mkdir, readdir, rm, rmdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotFiles } from '../engine/engine.ts'
import { SnapshotMissing } from '../engine/snapshot-missing.ts'
import { syncPath } from '../platform/sync-path.ts'

/**
 * Where a model's files are. Ids are never given twice and epochs never go back, so no two managers ever write to the
 * same path:
 *
 *   models/ID/scratch/EPOCH/           the one read-write database of that epoch's manager
 *   models/ID/versions/N-EPOCH/        the files of version N; immutable, and a version, once PostgreSQL says so
 *   models/ID/clean/N-EPOCH/           version N as one file, for those who fetch it (clean-files.ts)
 *   models/ID/archive/EPOCH/           on its way to the object store
 *   models/ID/rebuild/EPOCH/           what a lost version is made again from
 */
export class ModelFiles {
  readonly #root: string

  constructor(dataDir: string, model: string) {
    this.#root = join(dataDir, 'models', model)
  }

  versionDir(version: number, epoch: number): string {
    return join(this.#root, 'versions', `${version}-${epoch}`)
  }

  cleanDir(version: number, epoch: number): string {
    return join(this.#root, 'clean', `${version}-${epoch}`)
  }

  /** The folders that there are for clean files, by their names; what is on its way to be one is among them. */
  async cleanDirs(): Promise<ReadonlySet<string>> {
    return new Set(await readdir(join(this.#root, 'clean')).catch(() => []))
  }

  /**
   * The files of a version by name; empty for version 0, which has none. SnapshotMissing for another without: its files
   * have been let go, and it must not be taken for empty.
   */
  snapshotFiles(version: { version: number; epoch: number }, names: readonly string[]): SnapshotFiles {
    if (version.version > 0 && names.length === 0) throw new SnapshotMissing(`version ${version.version} has no files`)
    const dir = this.versionDir(version.version, version.epoch)
    return Object.fromEntries(names.map(name => [name, join(dir, name)]))
  }

  scratchDir(epoch: number): string {
    return join(this.#root, 'scratch', String(epoch))
  }

  /** An empty scratch folder for this epoch; those of dead epochs are thrown away. */
  scratch(epoch: number): Promise<string> {
    return this.#emptied('scratch', epoch)
  }

  /** An empty folder for what this epoch is about to put into the archive; those of dead epochs are thrown away. */
  archive(epoch: number): Promise<string> {
    return this.#emptied('archive', epoch)
  }

  /** An empty folder for what this epoch makes lost versions again from; those of dead epochs are thrown away. */
  rebuild(epoch: number): Promise<string> {
    return this.#emptied('rebuild', epoch)
  }

  async #emptied(folder: 'scratch' | 'archive' | 'rebuild', epoch: number): Promise<string> {
    const dir = join(this.#root, folder, String(epoch))
    await this.#remove(folder, name => Number(name) <= epoch)
    await mkdir(dir, { recursive: true })
    return dir
  }

  /** Has `write` fill the folder of a version, and sync what it puts there. Nobody looks into it before it is published. */
  async make<T>(version: number, epoch: number, write: (dir: string) => Promise<T>): Promise<T> {
    const dir = this.versionDir(version, epoch)
    const remove = () => rm(dir, { recursive: true, force: true })
    try {
      if (!(await made(dir))) {
        // One that is there is of a making in this epoch which did not come to be visible.
        await remove()
        await mkdir(dir, { recursive: true })
      }
      const [result] = await Promise.all([write(dir), syncPath(join(this.#root, 'versions'))])
      return result
    } catch (error) {
      // A disk that is full must not stay so for what came of it.
      await remove()
      throw error
    }
  }

  async removeVersion(version: number, epoch: number): Promise<void> {
    await removeFiles(this.versionDir(version, epoch))
    await this.#remove('clean', name => name.split('.')[0] === `${version}-${epoch}`)
  }

  /** Removes versions of this epoch and older ones that are not among `kept`: what dead managers left, and what was let go. */
  async sweep(epoch: number, kept: readonly { version: number; epoch: number }[]): Promise<void> {
    const names = new Set(kept.map(({ version, epoch }) => `${version}-${epoch}`))
    await this.#remove('versions', name => !names.has(name) && Number(/^\d+-(\d+)$/.exec(name)?.[1]) <= epoch)
    // What is being made of a version that is kept may be in the hands of another process.
    await this.#remove('clean', name => {
      const [, version = '', of] = /^(\d+-(\d+))(?:\.[\w-]+\.tmp)?$/.exec(name) ?? []
      return Number(of) <= epoch && !names.has(version)
    })
  }

  async removeScratch(epoch: number): Promise<void> {
    await rm(this.scratchDir(epoch), { recursive: true, force: true })
  }

  async removeAll(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }

  /** Never what a later epoch made: this manager may be one that was frozen, and has woken up beside its successor. */
  async #remove(
    folder: 'scratch' | 'archive' | 'rebuild' | 'versions' | 'clean',
    isOurs: (name: string) => boolean,
  ): Promise<void> {
    const parent = join(this.#root, folder)
    for (const name of await readdir(parent).catch(() => []))
      if (isOurs(name)) await rm(join(parent, name), { recursive: true, force: true })
  }
}

/** False where it, or the folder that it is to be in, has to be seen to first. */
const made = (dir: string): Promise<boolean> =>
  mkdir(dir).then(
    () => true,
    () => false,
  )

/** A folder of files alone, in fewer steps than one that may hold anything. */
async function removeFiles(dir: string): Promise<void> {
  try {
    await Promise.all((await readdir(dir)).map(name => unlink(join(dir, name))))
    await rmdir(dir)
  } catch {
    await rm(dir, { recursive: true, force: true })
  }
}
