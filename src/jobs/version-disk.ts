import { lstat, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { ModelFiles } from './model-files.ts'

/** What a version's files take on disk: bytes of blocks by inode, so that what several versions link to counts once. */
type Use = ReadonlyMap<string, number>

interface OnDisk {
  version: number
  epoch: number
  /** Kept for nothing but that somebody pages there. */
  pagedOnly: boolean
}

/** Measures versions on disk. */
export class VersionDisk {
  readonly #uses = new Map<string, Map<string, Use>>()

  /**
   * Which of the versions that are kept for paging alone have to go, oldest first, so that what they take beyond the
   * others is at most `times` what the newest has. `versions`: all that are kept, oldest first.
   */
  async past(files: ModelFiles, model: string, versions: readonly OnDisk[], times: number): Promise<number[]> {
    const measured = await this.#measure(files, model, versions)
    const newest = measured.at(-1)?.own
    const uses = measured.map(({ all }) => all)
    // One that cannot be found says nothing about how much is much.
    if (!newest || newest.size === 0) return []
    const needed = new Set(uses.flatMap((use, index) => (versions[index]?.pagedOnly ? [] : [...use.keys()])))
    const holders = new Map<string, number>()
    let bytes = 0
    const extra = (use: Use) => [...use].filter(([inode]) => !needed.has(inode))
    for (const [index, use] of uses.entries()) {
      if (!versions[index]?.pagedOnly) continue
      for (const [inode, size] of extra(use)) {
        if (!holders.has(inode)) bytes += size
        holders.set(inode, (holders.get(inode) ?? 0) + 1)
      }
    }
    const budget = times * [...newest.values()].reduce((sum, size) => sum + size, 0)
    const going: number[] = []
    for (const [index, use] of uses.entries()) {
      const version = versions[index]
      if (bytes <= budget) break
      if (!version?.pagedOnly) continue
      going.push(version.version)
      for (const [inode, size] of extra(use)) {
        const left = (holders.get(inode) ?? 0) - 1
        holders.set(inode, left)
        if (left === 0) bytes -= size
      }
    }
    return going
  }

  /** What the versions' own files take, which never change, and with it what was made of them for who fetches one. */
  async #measure(files: ModelFiles, model: string, versions: readonly OnDisk[]): Promise<{ own: Use; all: Use }[]> {
    const known = this.#uses.get(model)
    const now = new Map<string, Use>()
    const uses: { own: Use; all: Use }[] = []
    // Of hundreds that are kept hardly any has one: they are not looked for one by one.
    const clean = await files.cleanDirs()
    for (const { version, epoch } of versions) {
      const dir = files.versionDir(version, epoch)
      const own = known?.get(dir) ?? (await useOf(dir))
      // One whose files are not there may yet get them.
      if (own.size > 0) now.set(dir, own)
      const cleanDir = files.cleanDir(version, epoch)
      uses.push({ own, all: clean.has(basename(cleanDir)) ? new Map([...own, ...(await useOf(cleanDir))]) : own })
    }
    this.#uses.set(model, now)
    return uses
  }

  forget(model: string): void {
    this.#uses.delete(model)
  }
}

/** A block of `stat`, whatever the file system's own are. */
const BLOCK_BYTES = 512

async function useOf(dir: string): Promise<Use> {
  const use = new Map<string, number>()
  for (const name of await readdir(dir).catch(() => [])) {
    const file = await lstat(join(dir, name)).catch(() => null)
    if (file?.isFile()) use.set(`${file.dev}:${file.ino}`, file.blocks * BLOCK_BYTES)
  }
  return use
}
