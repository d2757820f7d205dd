import { hash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { manifestDigest } from '../blocks.ts'
import type { SnapshotRef } from '../engine.ts'
import { SnapshotDamaged, SourceDamaged } from '../snapshot-damaged.ts'
import { SurroundingsError } from '../surroundings-error.ts'
import { BASE_WAL } from './database.ts'
import { blockManifest } from './snapshot-files.ts'

/**
 * Why something went wrong that read versions of other models: SourceDamaged where one of them is not, or not any more,
 * what its checksums say. It reads them all, so it is asked only then. DuckDB's error does not say which file it is of.
 */
export async function causeInSources(error: unknown, refs: readonly SnapshotRef[]): Promise<unknown> {
  if (error instanceof SourceDamaged || !isOfFiles(error)) return error
  for (const ref of refs) if (!(await isSound(ref))) return new SourceDamaged(ref, error)
  return error
}

const isOfFiles = (error: unknown): boolean =>
  error instanceof SurroundingsError ||
  error instanceof SnapshotDamaged ||
  (error instanceof Error && /^IO Error: /.test(error.message))

async function isSound({ files, checksums }: SnapshotRef): Promise<boolean> {
  for (const [name, path] of Object.entries(files)) {
    try {
      const found =
        name === BASE_WAL
          ? hash('sha256', await readFile(path), 'hex')
          : manifestDigest((await blockManifest(path)).blocks)
      if (checksums?.[name] !== undefined && checksums[name] !== found) return false
    } catch {
      return false
    }
  }
  return true
}
