import { constants, copyFile, type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { blockAt, blockDigest } from '../../engine/blocks.ts'
import type { Pulled, PulledFolder } from '../../jobs/offline/pulled-folder.ts'
import type { PulledManifest } from '../../jobs/offline/pulled-version.ts'

/** The file of a version as far as it has been fetched; nobody else writes to it. */
export class PartFile implements AsyncDisposable {
  readonly path: string
  readonly #file: FileHandle
  readonly #manifest: PulledManifest

  private constructor(path: string, file: FileHandle, manifest: PulledManifest) {
    this.path = path
    this.#file = file
    this.#manifest = manifest
  }

  /**
   * Begins with what a pull that was killed has left of the model, else as a clone of the newest version that is there,
   * where the file system has clones. Nothing of it is believed before it is verified.
   */
  static async begin(folder: PulledFolder, model: string, manifest: PulledManifest): Promise<PartFile> {
    const dir = folder.modelDir(model)
    await mkdir(dir, { recursive: true })
    const path = join(dir, `${manifest.version}.${process.pid}.part`)
    const parts = await orphans(dir, /^\d+\.(\d+)\.part$/)
    const left = parts.find(name => name.startsWith(`${manifest.version}.`)) ?? parts[0]
    const adopted = left !== undefined && (await renamed(join(dir, left), path))
    const [newest] = await folder.versions(model)
    if (!adopted && newest) await copyFile(newest.path, path, constants.COPYFILE_FICLONE_FORCE).catch(() => {})
    const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o644)
    await file.truncate(manifest.bytes)
    return new PartFile(path, file, manifest)
  }

  /** The blocks that are not what they should be, in order. */
  missing(): Promise<number[]> {
    return missingBlocks(this.#file, this.#manifest)
  }

  /** Writes the block where it belongs; false, and nothing is written, where it is not what it should be. */
  async write(index: number, bytes: Uint8Array): Promise<boolean> {
    if (blockDigest(bytes) !== this.#manifest.blocks[index]) return false
    const { start } = blockAt(this.#manifest, index)
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, start + written)
      written += bytesWritten
    }
    return true
  }

  /** Takes what it can of these from a version that is there, wherever in its file they are; answers with the rest. */
  async copyFrom(folder: PulledFolder, from: Pulled, missing: readonly number[]): Promise<number[]> {
    const manifest = await folder.manifest(from)
    const opened = await open(from.path).catch(() => null)
    if (!manifest || !opened) return [...missing]
    await using file = opened
    const places = new Map(manifest.blocks.map((block, index) => [block, index]))
    const rest: number[] = []
    for (const index of missing) {
      const place = places.get(this.#manifest.blocks[index] ?? '')
      const { start, end } = blockAt(manifest, place ?? 0)
      // Somebody may have written to it since: then the block is not taken.
      if (place === undefined || !(await this.write(index, await readBlock(file, start, end)))) rest.push(index)
    }
    return rest
  }

  sync(): Promise<void> {
    return this.#file.sync()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close()
  }
}

/** Whether the file is what the manifest says. */
export async function isWhole(path: string, manifest: PulledManifest): Promise<boolean> {
  const opened = await open(path).catch(() => null)
  if (!opened) return false
  await using file = opened
  return (await file.stat()).size === manifest.bytes && (await missingBlocks(file, manifest)).length === 0
}

async function missingBlocks(file: FileHandle, manifest: PulledManifest): Promise<number[]> {
  const missing: number[] = []
  for (const [index, block] of manifest.blocks.entries()) {
    const { start, end } = blockAt(manifest, index)
    if (blockDigest(await readBlock(file, start, end)) !== block) missing.push(index)
  }
  return missing
}

/** False where somebody else was faster. */
export const renamed = (from: string, to: string): Promise<boolean> =>
  rename(from, to).then(
    () => true,
    () => false,
  )

/** Removes what killed pulls have left of a model, once nobody has a use for it. */
export async function removeParts(folder: PulledFolder, model: string): Promise<void> {
  const dir = folder.modelDir(model)
  for (const name of await orphans(dir, /^\d+\..*?(\d+)\.(?:parts?|tmp)$/))
    await rm(join(dir, name), { recursive: true, force: true })
}

/** Files whose process lives no more; its id is in their names. */
export const orphans = async (dir: string, pattern: RegExp): Promise<string[]> =>
  (await readdir(dir)).filter(name => {
    const [, pid] = pattern.exec(name) ?? []
    return pid !== undefined && !isAlive(Number(pid))
  })

/** Also of one whose id was ours: nobody in this process begins a file twice. */
function isAlive(pid: number): boolean {
  if (pid === process.pid) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

async function readBlock(file: FileHandle, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(end - start)
  let filled = 0
  while (filled < bytes.length) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled)
    if (bytesRead === 0) break
    filled += bytesRead
  }
  return bytes.subarray(0, filled)
}
