import { constants, copyFile, type FileHandle, mkdir, open, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { blockAt, blockDigest } from '../../engine/blocks.ts'
import type { Pulled, PulledFolder } from '../../jobs/offline/pulled-folder.ts'
import type { PulledManifest } from '../../jobs/offline/pulled-version.ts'

/** What is known of a block: not there; there, as somebody has left it; there, as it should be. */
type BlockState = 'absent' | 'unread' | 'whole'

/**
 * The file of a version as far as it has been fetched; nobody else writes to it. What is written is read back once, as is
 * what was there to begin with:
 *
 *   absent ─ write ─▶ unread ─ missing ─▶ whole
 *     ▲                         │ it is not what it should be
 *     └─────────────────────────┘
 */
export class PartFile implements AsyncDisposable {
  readonly path: string
  readonly #file: FileHandle
  readonly #manifest: PulledManifest
  readonly #states: BlockState[]

  private constructor(path: string, file: FileHandle, manifest: PulledManifest, state: BlockState) {
    this.path = path
    this.#file = file
    this.#manifest = manifest
    this.#states = manifest.blocks.map(() => state)
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
    const state = (await file.stat()).size === 0 ? 'absent' : 'unread'
    await file.truncate(manifest.bytes)
    return new PartFile(path, file, manifest, state)
  }

  /** The blocks that are not what they should be, in order. */
  async missing(): Promise<number[]> {
    const missing: number[] = []
    for (const [index, state] of this.#states.entries()) {
      if (state === 'unread')
        this.#states[index] = (await isBlock(this.#file, this.#manifest, index)) ? 'whole' : 'absent'
      if (this.#states[index] === 'absent') missing.push(index)
    }
    return missing
  }

  /** Writes the block where it belongs; false, and nothing is written, where it is not what it should be. */
  async write(index: number, bytes: Uint8Array): Promise<boolean> {
    if (blockDigest(bytes) !== this.#manifest.blocks[index]) return false
    const { start } = blockAt(this.#manifest, index)
    for (let written = 0; written < bytes.length; ) {
      const { bytesWritten } = await this.#file.write(bytes, written, bytes.length - written, start + written)
      written += bytesWritten
    }
    this.#states[index] = 'unread'
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
  if ((await file.stat()).size !== manifest.bytes) return false
  for (const index of manifest.blocks.keys()) if (!(await isBlock(file, manifest, index))) return false
  return true
}

async function isBlock(file: FileHandle, manifest: PulledManifest, index: number): Promise<boolean> {
  const { start, end } = blockAt(manifest, index)
  return blockDigest(await readBlock(file, start, end)) === manifest.blocks[index]
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
