import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kind, Kinds } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { archiveDuckDB } from '../duckdb/exports/version-archive.ts'
import type { SnapshotFiles, SnapshotRef, WorkOutcome } from '../engine.ts'
import { SnapshotDamaged, SourceDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { MANIFEST } from './manifest.ts'
import { adoptVersion, emptyModel, type ModelState } from './model.ts'
import { restoreModel } from './restore.ts'
import type { ScratchFiles } from './scratch-files.ts'

export interface ScenarioContext {
  scratch: ScratchFiles
  kind: Kind
  kinds: Kinds
  /** For files on the way. */
  dir: string
  signal: AbortSignal
}

/**
 * The model as it begins with the tables of another: links to its files, or where it is of another engine, files made anew.
 * Whatever the writer's folder held before is gone, unless it is refused.
 * @throws SourceDamaged
 */
export async function beginScenario(
  context: ScenarioContext,
  from: SnapshotRef,
): Promise<ModelState | Extract<WorkOutcome, { ok: false }>> {
  const { scratch, kind } = context
  try {
    if (from.version === 0) return emptyModel(kind)
    if (!(MANIFEST in from.files)) return await hydrated(context, from)
    const state = await adoptVersion(scratch, kind, from.files, from.checksums)
    if (state.version !== from.version) throw new SourceDamaged(from)
    return state
  } catch (error) {
    if (error instanceof TeatreeError) return { ok: false, error }
    const isDamaged = error instanceof SnapshotDamaged || error instanceof SnapshotMissing
    throw isDamaged && !(error instanceof SourceDamaged) ? new SourceDamaged(from, error) : error
  }
}

async function hydrated(
  { scratch, kind, kinds, dir, signal }: ScenarioContext,
  from: SnapshotRef,
): Promise<ModelState> {
  const folder = await mkdtemp(join(dir, 'copy-'))
  try {
    const archived = await archiveDuckDB(from, kind, kinds, folder, signal)
    const made = join(folder, 'made')
    await mkdir(made)
    const { files } = await restoreModel(archived, made, { signal })
    const paths: SnapshotFiles = Object.fromEntries(files.map(({ name }) => [name, join(made, name)]))
    return await adoptVersion(scratch, kind, paths)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}
