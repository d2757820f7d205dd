import { mkdir, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { syncPath } from '../../platform/sync-path.ts'
import { manifestDigest } from '../blocks.ts'
import type { BlockManifest } from '../engine.ts'
import { type BlocksInUse, blockChecksums } from './database-blocks.ts'
import {
  BLOCK_BYTES,
  blockManifest,
  cloned,
  copyWithManifest,
  patchWithManifest,
  updatedManifest,
} from './snapshot-files.ts'

/** The state of the database at a checkpoint, in a file that versions are links to and nothing writes to. */
export interface Base {
  path: string
  manifest: BlockManifest
  /** Of the manifest. */
  sha256: string
  /** What each block begins with. */
  checksums: Buffer
  /** Blocks that checkpoints have written since; null where that is not known. */
  outdated: Set<number> | null
}

/** The base that the file at `path` is, which is the database as it is now. */
export function baseOf(path: string, manifest: BlockManifest, checksums: Buffer): Base {
  return { path, manifest, sha256: manifestDigest(manifest.blocks), checksums, outdated: new Set() }
}

/**
 * Makes the database a base in the file `path`, synced: a clone where the file system can, whose manifest is known but for
 * what has changed since `like`; else by patching the file of the `retired` one; else a copy. Says how many bytes had changed.
 */
export async function makeBase(
  database: string,
  path: string,
  { like, retired }: { like: Base | null; retired: Base | undefined },
): Promise<{ base: Base; changedBytes: number }> {
  await mkdir(dirname(path), { recursive: true })
  const checksums = await blockChecksums(database)
  const isClone = await cloned(database, path)
  const from = isClone ? like : retired
  const changed = from ? changedSince(from, checksums) : null
  const made = (manifest: BlockManifest) => ({
    base: baseOf(path, manifest, checksums),
    changedBytes: changed ? changed.length * BLOCK_BYTES : manifest.bytes,
  })
  if (isClone) {
    await syncPath(path)
    return made(from && changed ? await updatedManifest(path, from.manifest, changed) : await blockManifest(path))
  }
  if (!from || !changed) return made(await copyWithManifest(database, path))
  const manifest = await patchWithManifest(database, from.path, from.manifest, changed)
  await rename(from.path, path)
  return made(manifest)
}

/** Whether no name of it is left but its own: no version is a link to it any more. */
export const isRetired = async ({ path }: Base): Promise<boolean> => (await stat(path)).nlink === 1

/** Notes what a checkpoint wrote: it never writes to a block that was in use before it, other than metadata. */
export function outdate(bases: readonly Base[], before: BlocksInUse | null, after: BlocksInUse | null): void {
  const written = before && after ? after.all.difference(before.all).union(after.metadata) : null
  for (const base of bases) base.outdated = written && (base.outdated?.union(written) ?? null)
}

/** The blocks in which the database differs from the base; null where that is not known. */
function changedSince({ outdated, checksums }: Base, now: Buffer): number[] | null {
  if (!outdated) return null
  const changed: number[] = []
  for (let block = 0; block * 8 < now.length; block++) {
    const [from, to] = [block * 8, block * 8 + 8]
    if (outdated.has(block) || to > checksums.length || now.compare(checksums, from, to, from, to) !== 0)
      changed.push(block)
  }
  return changed
}
