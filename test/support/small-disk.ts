import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { mkdtemp, rm, statfs, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, afterEach } from 'vitest'
import { type Managed, type ManagedOptions, openManaged } from './managed.ts'

/** A small disk for the tests of one file; it goes when they are over. */
export interface SmallDisk {
  readonly dir: string
  /** Fills it but for `left` bytes, or what is free of so many by then; the answer makes room again. */
  fill(left?: number): Promise<() => Promise<void>>
}

/** Null where this user may not have one. */
export function smallDisk(mebibytes: number): SmallDisk | null {
  const dir = mkdtempSync(join(tmpdir(), 'teatree-disk-'))
  const isMounted = mounted(dir, `size=${mebibytes}m`)
  // What a test that failed has left full is not in the way of the next.
  afterEach(() => rm(fillerIn(dir), { force: true }))
  afterAll(() => {
    if (isMounted) execFileSync('umount', ['--lazy', dir])
    rmSync(dir, { recursive: true, force: true })
  })
  return isMounted ? { dir, fill: (left = 0) => fill(dir, left) } : null
}

/** The name of a test that needs such a disk, saying so where it is skipped. */
export const onDisk = (disk: SmallDisk | null, name: string): string =>
  disk ? name : `${name} (skipped: this user cannot mount a small disk)`

/** The jobs with their data directory on a small disk, and a store that is elsewhere. */
export interface OnDisk extends Managed {
  disk: SmallDisk
}

export async function openOnDisk(disk: SmallDisk | null, options: ManagedOptions = {}): Promise<OnDisk> {
  if (!disk) throw new Error('there is no small disk')
  const stack = new AsyncDisposableStack()
  const store = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-store-')), path => rm(path, { recursive: true }))
  const managed = await openManaged({ ...options, dataDir: disk.dir, storeUrl: pathToFileURL(store).href })
  return { ...stack.use(managed), disk, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

/** Mounts a disk in memory over the folder; false where this user may not. */
export function mounted(dir: string, options: string): boolean {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
}

const fillerIn = (dir: string): string => join(dir, 'filler')

/** Fills the disk but for `left` bytes; the answer makes room again. */
export async function fill(dir: string, left: number): Promise<() => Promise<void>> {
  const filler = fillerIn(dir)
  await rm(filler, { force: true })
  const { bsize, bavail } = await statfs(dir)
  // Others may take room at the same time: then there is less left.
  await writeFile(filler, Buffer.alloc(Math.max(0, bsize * bavail - left))).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOSPC') throw error
  })
  return () => rm(filler, { force: true })
}
