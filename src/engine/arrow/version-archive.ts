import { join } from 'node:path'
import type { Kind } from '../../kinds/kind.ts'
import type { ArchivedVersion, SnapshotRef } from '../engine.ts'
import { tableOf } from '../plan-tables.ts'
import { SnapshotDamaged, SourceDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'
import { FileChecks } from './file-checks.ts'
import { openVersion } from './manifest.ts'
import { VersionTables } from './version-tables.ts'

/**
 * Tables of a version as an archive has them, as its kind knows them today, in `dir`: for an engine that makes its own files
 * of that.
 * @throws TeatreeError KIND_CHANGED where a column cannot be read as what it is now
 * @throws SourceDamaged
 */
export async function archiveArrow(
  ref: SnapshotRef,
  kind: Kind,
  dir: string,
  names: readonly string[] = [...kind.tables.keys()],
): Promise<ArchivedVersion> {
  try {
    const version = await openVersion(ref.files)
    if (version.manifest.version !== ref.version) throw new SnapshotDamaged('the files are of another version')
    const held = new VersionTables(kind, version, new FileChecks())
    // What is not held against its checksums here would be sound data of another model, for ever.
    await held.check(names)
    const tables: Record<string, { path: string; rows: number }> = {}
    for (const name of names) {
      const path = join(dir, `${name}.parquet`)
      await held.frame(name).sinkParquet(path, { compression: 'lz4', statistics: false, maintainOrder: true }).collect()
      tables[name] = { path, rows: held.rows(name) }
    }
    const shape = Object.fromEntries(names.map(name => [name, kind.shape[name] ?? { columns: {}, key: [] }]))
    return { version: ref.version, lastSeq: version.manifest.lastSeq, shape, tables }
  } catch (error) {
    const isDamaged = error instanceof SnapshotDamaged || error instanceof SnapshotMissing
    throw isDamaged ? new SourceDamaged(ref, error) : error
  }
}

/** One table of it, as a Parquet file. */
export async function tableToParquet(ref: SnapshotRef, kind: Kind, name: string, dir: string): Promise<string> {
  const { tables } = await archiveArrow(ref, kind, dir, [tableOf(kind, name).name])
  return tables[name]?.path ?? ''
}
