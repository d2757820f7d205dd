import { mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotFiles } from '../engine/engine.ts'

/**
 * Where a model's files are. Ids are never given twice and epochs never go back, so no two managers ever write to the
 * same path:
 *
 *   models/ID/scratch/EPOCH/           the one read-write database of that epoch's manager
 *   models/ID/versions/N-EPOCH/        the files of version N; immutable from the moment they have this name
 *   models/ID/versions/N-EPOCH.tmp/    being written
 */
export class ModelFiles {
  readonly #root: string

  constructor(dataDir: string, model: string) {
    this.#root = join(dataDir, 'models', model)
  }

  versionDir(version: number, epoch: number): string {
    return join(this.#root, 'versions', `${version}-${epoch}`)
  }

  /** The files of a version by name; empty for version 0, which has none. */
  snapshotFiles(version: { version: number; epoch: number }, names: readonly string[]): SnapshotFiles {
    const dir = this.versionDir(version.version, version.epoch)
    return Object.fromEntries(names.map(name => [name, join(dir, name)]))
  }

  scratchDir(epoch: number): string {
    return join(this.#root, 'scratch', String(epoch))
  }

  /** An empty scratch folder for this epoch; those of dead epochs are thrown away. */
  async scratch(epoch: number): Promise<string> {
    await this.removeScratch()
    const dir = this.scratchDir(epoch)
    await mkdir(dir, { recursive: true })
    return dir
  }

  /** Has `write` fill a folder, and gives it its final name only when it is whole and on disk. */
  async make<T>(version: number, epoch: number, write: (dir: string) => Promise<T>): Promise<T> {
    const dir = this.versionDir(version, epoch)
    const temporary = `${dir}.tmp`
    // One that is there is of a publish of this epoch which did not come to be visible; nobody can have opened it.
    for (const stray of [temporary, dir]) await rm(stray, { recursive: true, force: true })
    await mkdir(temporary, { recursive: true })
    const result = await write(temporary)
    await rename(temporary, dir)
    await syncFolder(join(this.#root, 'versions'))
    return result
  }

  async removeVersion(version: number, epoch: number): Promise<void> {
    await rm(this.versionDir(version, epoch), { recursive: true, force: true })
  }

  /** Removes what is in the versions folder and is not among `kept`: what a dead manager left, and versions let go. */
  async sweep(kept: readonly { version: number; epoch: number }[]): Promise<void> {
    const names = new Set(kept.map(({ version, epoch }) => `${version}-${epoch}`))
    const versions = join(this.#root, 'versions')
    for (const entry of await readdir(versions).catch(() => []))
      if (!names.has(entry)) await rm(join(versions, entry), { recursive: true, force: true })
  }

  async removeScratch(): Promise<void> {
    await rm(join(this.#root, 'scratch'), { recursive: true, force: true })
  }

  async removeAll(): Promise<void> {
    await rm(this.#root, { recursive: true, force: true })
  }
}

async function syncFolder(path: string): Promise<void> {
  const folder = await open(path)
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
