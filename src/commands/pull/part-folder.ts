import { createHash } from 'node:crypto'
import { mkdir, open, readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { linkOrCopy } from '../../engine/duckdb/snapshot-files.ts'
import { MANIFEST_FILE } from '../../jobs/content.ts'
import type { Pulled, PulledFolder } from '../../jobs/offline/pulled-folder.ts'
import type { PulledFile } from '../../jobs/offline/pulled-version.ts'
import { syncPath } from '../../platform/sync-path.ts'
import { orphans, renamed } from './part-file.ts'

/**
 * The files of a version as far as they have been fetched, each under its checksum: so what a pull that was killed has left
 * is of use for any version that has the file. Nobody else writes to them, and nothing is believed before it is verified.
 */
export class PartFolder {
  readonly #dir: string
  /** Where the version is put together. */
  readonly #whole: string

  private constructor(dir: string, whole: string) {
    this.#dir = dir
    this.#whole = whole
  }

  static async begin(folder: PulledFolder, model: string, version: number): Promise<PartFolder> {
    const dir = folder.modelDir(model)
    await mkdir(dir, { recursive: true })
    const path = join(dir, `${version}.${process.pid}.parts`)
    for (const left of await orphans(dir, /^\d+\.(\d+)\.parts$/)) if (await renamed(join(dir, left), path)) break
    await mkdir(path, { recursive: true })
    return new PartFolder(path, join(dir, `${version}.whole.${process.pid}.tmp`))
  }

  /** Those that are not there, whole. */
  async missing(files: readonly PulledFile[]): Promise<PulledFile[]> {
    const missing: PulledFile[] = []
    for (const file of files) if (!(await isFile(this.#path(file), file))) missing.push(file)
    return missing
  }

  /** Takes what it can of these from a version that is there: they become one file with two names. Answers with the rest. */
  async shareWith(folder: PulledFolder, from: Pulled, missing: readonly PulledFile[]): Promise<PulledFile[]> {
    const there = new Map((await folder.parts(from)).map(({ sha256, name }) => [sha256, join(from.path, name)]))
    const rest: PulledFile[] = []
    for (const file of missing) {
      const path = there.get(file.sha256)
      // Somebody may have written to it since: then it is not taken.
      if (path === undefined || !(await isFile(path, file))) rest.push(file)
      else {
        await rm(this.#path(file), { force: true })
        await linkOrCopy(path, this.#path(file))
      }
    }
    return rest
  }

  /** How much of it is there, to go on behind; none of what has been found to be another file. */
  async begun(file: PulledFile): Promise<number> {
    const found = await stat(this.#path(file)).catch(() => null)
    if (!found) return 0
    if (found.size < file.bytes && found.nlink === 1) return found.size
    // Of what is another version's, too, nothing is written to.
    await rm(this.#path(file))
    return 0
  }

  /** Adds to what is there of it. */
  async append(file: PulledFile, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    await using part = await open(this.#path(file), 'a')
    for await (const chunk of chunks) await part.appendFile(chunk)
  }

  isWhole(file: PulledFile): Promise<boolean> {
    return isFile(this.#path(file), file)
  }

  /**
   * Puts the version together, on disk, from its files, which are whole, and the manifest beside them; answers with its folder.
   * They stay here under their checksums, too: a pull that is killed before the version is there has fetched nothing in vain.
   */
  async finish(files: readonly PulledFile[], manifest: Uint8Array): Promise<string> {
    await rm(this.#whole, { recursive: true, force: true })
    await mkdir(this.#whole)
    for (const file of files) {
      const path = join(this.#whole, file.name)
      await linkOrCopy(this.#path(file), path)
      await syncPath(path)
    }
    await using file = await open(join(this.#whole, MANIFEST_FILE), 'wx')
    await file.writeFile(manifest)
    await file.sync()
    await syncPath(this.#whole)
    return this.#whole
  }

  #path({ sha256 }: PulledFile): string {
    return join(this.#dir, sha256)
  }
}

/** Whether a version that is there is what its manifest says, and nothing besides. */
export async function isWholeFolder(
  path: string,
  files: readonly PulledFile[],
  manifest: Omit<PulledFile, 'name'>,
): Promise<boolean> {
  const names = await readdir(path).catch(() => [])
  if (names.length !== files.length + 1) return false
  for (const file of [{ name: MANIFEST_FILE, ...manifest }, ...files])
    if (!(await isFile(join(path, file.name), file))) return false
  return true
}

async function isFile(path: string, { bytes, sha256 }: Omit<PulledFile, 'name'>): Promise<boolean> {
  const found = await stat(path).catch(() => null)
  if (found?.size !== bytes) return false
  const digest = createHash('sha256')
  await using file = await open(path)
  for await (const chunk of file.createReadStream({ autoClose: false, highWaterMark: 1 << 20 })) digest.update(chunk)
  return digest.digest('hex') === sha256
}
