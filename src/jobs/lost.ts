import { stat } from 'node:fs/promises'
import { SourceDamaged } from '../engine/snapshot-damaged.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import type { Database } from '../platform/postgres.ts'
import { notifyWork } from './channel.ts'
import { ModelFiles } from './model-files.ts'
import { columns, type Version } from './records.ts'

/**
 * Says that the files of a version are not there, or not what was published. Its model's manager makes them again, unless
 * they are of another epoch by now: then it has. False where the version is not kept (any more).
 */
export async function markLost(
  db: Database,
  { model, version, epoch }: Pick<Version, 'model' | 'version' | 'epoch'>,
): Promise<boolean> {
  return db.transaction(async tx => {
    const marked = await tx.query(
      `UPDATE model_version SET lost = true
        WHERE model = $1 AND version = $2 AND epoch = $3 AND version > 0 AND kept RETURNING version`,
      [model, version, epoch],
    )
    if (marked.length > 0) {
      await notifyWork(tx, model)
      return true
    }
    const kept = await tx.query(
      'SELECT FROM model_version WHERE model = $1 AND version = $2 AND version > 0 AND kept',
      [model, version],
    )
    return kept.length > 0
  })
}

/** Where it is why the error came about, says so of the version of another model that was read. */
export async function markLostSource(db: Database, error: unknown): Promise<void> {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (!(cause instanceof SourceDamaged)) continue
    const { model, version, epoch } = cause.ref
    if (epoch !== undefined) await markLost(db, { model, version, epoch })
    return
  }
}

/** What who would read such a version is told. */
export class VersionLost extends TeatreeError {
  constructor({ model, version }: Pick<Version, 'model' | 'version'>) {
    super(
      'UNAVAILABLE',
      `Version ${version} of model ${model} is being made again from the archive; wait longer, or ask again in a while.`,
    )
  }
}

/** Whether all of the files are there. */
export async function areThere(paths: readonly string[]): Promise<boolean> {
  for (const path of paths) {
    const found = await stat(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return null
      throw error
    })
    if (!found) return false
  }
  return true
}

/** Looks whether the files of the versions that are kept are there: whatever is lost is known before it is asked for. */
export async function findLost({ db, dataDir, log }: { db: Database; dataDir: string; log: Log }): Promise<void> {
  const kept = await db.query<Pick<Version, 'model' | 'version' | 'epoch'> & { files: string[] }>(
    `SELECT v.model, v.version, v.epoch, ${columns.files('v', 'm')}
       FROM goal_model m JOIN model_version v ON v.model = m.id
      WHERE m.deleted_at IS NULL AND v.kept AND NOT v.lost AND v.version > 0`,
  )
  let lost = 0
  for (const version of kept) {
    const dir = new ModelFiles(dataDir, version.model).versionDir(version.version, version.epoch)
    if (version.files.length > 0 && (await areThere(version.files.map(name => `${dir}/${name}`)))) continue
    if (await markLost(db, version)) lost += 1
  }
  if (lost > 0) log.warn({ versions: lost }, 'versions whose files are not there are made again from the archive')
}
