import type { Checksums, SnapshotRef } from '../engine/engine.ts'
import type { Database } from '../platform/postgres.ts'
import type { IntentFunction } from './functions.ts'
import { ModelFiles } from './model-files.ts'
import type { Rebuild } from './rebuild.ts'
import { columns, type Intent } from './records.ts'

interface Read {
  alias: string
  model: string
  version: number
  kind: string
  epoch: number
  isThere: boolean
  checksums: Checksums
}

/**
 * The versions of other models that an intent read when it was applied, in the order in which it was given them: from
 * their own files where those are there, else made again.
 */
export async function recordedReads(
  { db, dataDir }: { db: Database; dataDir: string },
  rebuild: Rebuild,
  fn: IntentFunction,
  intent: Intent,
): Promise<SnapshotRef[]> {
  const reads = await db.query<Read>(
    `SELECT r.alias, r.model, r.version, m.kind, v.epoch, v.kept AND NOT v.lost AS "isThere", ${columns.checksums('r', 'm')}
       FROM intent_read r JOIN goal_model m ON m.id = r.model
       JOIN model_version v ON v.model = r.model AND v.version = r.version
      WHERE r.intent = $1`,
    [intent.id],
  )
  await rebuild.keepOnly(reads)
  const place = placesOf(fn)
  const refs: SnapshotRef[] = []
  for (const read of reads.sort((a, b) => place(a.alias) - place(b.alias))) {
    const { alias, model, kind, version } = read
    refs.push({ alias, model, kind, version, ...(await filesOf(dataDir, rebuild, read)) })
  }
  return refs
}

async function filesOf(
  dataDir: string,
  rebuild: Rebuild,
  read: Read,
): Promise<Pick<SnapshotRef, 'files' | 'checksums' | 'epoch'>> {
  const { checksums, epoch } = read
  const names = Object.keys(checksums)
  if (read.isThere && names.length > 0) {
    const files = new ModelFiles(dataDir, read.model).snapshotFiles(read, names)
    const held = await rebuild.hold(read, files)
    if (held) return { files: held, checksums, epoch }
  }
  return { files: await rebuild.filesOf(read.model, read.version) }
}

/** As readRequests (functions.ts) has them: arguments in their order, then `source`, `source_2` … */
function placesOf(fn: IntentFunction): (alias: string) => number {
  const named = fn.is === 'function' ? Object.keys(fn.function.arguments) : []
  return alias => {
    const argument = named.indexOf(alias)
    return argument >= 0 ? argument : named.length + Number(/^source_(\d+)$/.exec(alias)?.[1] ?? 1)
  }
}
