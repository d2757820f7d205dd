import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { reach } from '../platform/kill-points.ts'
import type { Database, Transaction } from '../platform/postgres.ts'
import { forgetFiles } from './content.ts'
import { ModelFiles } from './model-files.ts'
import { VersionDisk } from './version-disk.ts'
import { endReaders } from './version-leases.ts'

/** The newest versions that are kept whoever asks. */
export const KEPT_VERSIONS = 3
/** Between two notes that somebody pages at a version. */
export const PAGE_NOTE_SECONDS = 30
/** So long a version is kept from which a page was read that has a next one; the note may be that much older. */
const PAGED_SECONDS = 10 * 60 + PAGE_NOTE_SECONDS

/**
 * Whether nothing keeps the version `v` that is not among the newest, leaving paging aside. The LIMIT has the reads looked
 * up version by version: as a join the planner may go through the whole ledger for them.
 */
export const NOT_NEEDED = `NOT EXISTS (SELECT FROM version_pin p WHERE p.model = v.model AND p.version = v.version)
  AND NOT EXISTS (SELECT FROM version_lease l WHERE l.model = v.model AND l.version = v.version)
  AND NOT EXISTS (SELECT FROM query_run q WHERE q.model = v.model AND q.version = v.version AND q.ended_at IS NULL)
  AND NOT EXISTS (SELECT FROM query_run_read o WHERE o.model = v.model AND o.version = v.version)
  AND (
    SELECT r.intent FROM intent_read r JOIN intent i ON i.id = r.intent JOIN goal_model m ON m.id = i.model
     WHERE r.model = v.model AND r.version = v.version AND m.deleted_at IS NULL
       AND (i.ended_at IS NULL OR i.version > m.archived_version) LIMIT 1) IS NULL`
const PAGED = `v.paged_at IS NOT NULL AND v.paged_at > clock_timestamp() - make_interval(secs => ${PAGED_SECONDS})`

export interface LetGoDeps {
  db: Database
  dataDir: string
  /** How many times the newest version's size those may take on disk that are kept for paging alone. */
  pagedDisk: number
}

/**
 * Lets versions go: all but the newest three, those that are pinned, those that a process has open, those that a query run
 * is yet to read, those that an intent
 * read which no archive of its model holds yet (applying it again must read the same), and, within the disk budget, those
 * from which somebody pages. Whoever does it, the transaction decides; the files go after it.
 *
 * `disk`: where versions have been measured; null leaves the budget for another time. Answers whether any has gone.
 */
export async function letGo(
  deps: LetGoDeps,
  model: string,
  disk: VersionDisk | null = new VersionDisk(),
): Promise<boolean> {
  const { db, dataDir } = deps
  if (!(await areMany(db, model))) {
    disk?.forget(model)
    return false
  }
  const files = new ModelFiles(dataDir, model)
  await endReaders(db)
  const past = disk ? await pastBudget(deps, model, files, disk) : []
  const gone = await db.transaction(tx => markGone(tx, model, past))
  if (gone.length === 0) return false
  reach('versions.unkept')
  // One that cannot be removed must not keep the others: it is a stray from now on.
  const removed = await Promise.allSettled(gone.map(({ version, epoch }) => files.removeVersion(version, epoch)))
  reach('versions.removed')
  for (const outcome of removed) if (outcome.status === 'rejected') throw outcome.reason
  return true
}

/** Whether there are more than are kept whoever asks. */
async function areMany(db: Database, model: string): Promise<boolean> {
  const [more] = await db.again(
    `SELECT FROM goal_model m JOIN model_version v ON v.model = m.id
      WHERE m.id = $1 AND v.kept AND v.version <= m.version - $2 LIMIT 1`,
    [model, KEPT_VERSIONS],
  )
  return more !== undefined
}

async function markGone(
  tx: Transaction,
  model: string,
  past: readonly number[],
): Promise<{ version: number; epoch: number }[]> {
  const due = `${NOT_NEEDED} AND (v.version = ANY($3) OR NOT coalesce(${PAGED}, false))`
  // Locked by one statement and looked at by the next: who pins a version, reads it or leases it holds its row for
  // sharing, and what he has written is seen only by a statement that began after him.
  const old = await tx.query<{ version: number }>(
    `SELECT v.version FROM model_version v
      WHERE v.model = $1 AND v.kept AND v.version <= (SELECT version FROM goal_model WHERE id = $1) - $2 AND ${due}
      ORDER BY v.version FOR NO KEY UPDATE OF v`,
    [model, KEPT_VERSIONS, past],
  )
  if (old.length === 0) return []
  const gone = await tx.query<{ version: number; epoch: number }>(
    `UPDATE model_version v SET kept = false WHERE v.model = $1 AND v.version = ANY($2) AND ${due}
     RETURNING v.version, v.epoch`,
    [model, old.map(({ version }) => version), past],
  )
  await forgetFiles(
    tx,
    model,
    gone.map(({ version }) => version),
  )
  return gone
}

/** Versions past the disk budget of those from which somebody pages. */
async function pastBudget(
  { db, pagedDisk }: LetGoDeps,
  model: string,
  files: ModelFiles,
  disk: VersionDisk,
): Promise<number[]> {
  const kept = await db.query<{ version: number; epoch: number; pagedOnly: boolean }>(
    `SELECT v.version, v.epoch, v.version <= m.version - $2 AND ${NOT_NEEDED} AS "pagedOnly"
       FROM goal_model m JOIN model_version v ON v.model = m.id
      WHERE m.id = $1 AND v.kept AND v.version > 0 ORDER BY v.version`,
    [model, KEPT_VERSIONS],
  )
  if (kept.some(({ pagedOnly }) => pagedOnly)) return disk.past(files, model, kept, pagedDisk)
  disk.forget(model)
  return []
}

/** The models that have versions which nothing keeps but paging, and perhaps not even that. */
export async function modelsToLetGo(db: Database): Promise<string[]> {
  await endReaders(db)
  const models = await db.query<{ model: string }>(
    `SELECT DISTINCT v.model FROM goal_model m JOIN model_version v ON v.model = m.id
      WHERE m.deleted_at IS NULL AND v.kept AND v.version <= m.version - $1 AND ${NOT_NEEDED}`,
    [KEPT_VERSIONS],
  )
  return models.map(({ model }) => model)
}

/** Removes the files of versions that were let go by one who died before he came to their files. */
export async function removeStrays({ db, dataDir }: { db: Database; dataDir: string }): Promise<void> {
  const root = join(dataDir, 'models')
  for (const model of await readdir(root).catch(() => [])) {
    const found = (await readdir(join(root, model, 'versions')).catch(() => [])).flatMap(name => {
      const [, version, epoch] = /^(\d{1,9})-(\d{1,9})$/.exec(name) ?? []
      return version === undefined ? [] : [{ version: Number(version), epoch: Number(epoch) }]
    })
    if (found.length === 0) continue
    // What has no row may be on its way to be published.
    const strays = await db.query<{ version: number; epoch: number }>(
      `SELECT version, epoch FROM model_version
        WHERE model = $1 AND NOT kept AND (version, epoch) IN (SELECT * FROM unnest($2::integer[], $3::integer[]))`,
      [model, found.map(({ version }) => version), found.map(({ epoch }) => epoch)],
    )
    const files = new ModelFiles(dataDir, model)
    for (const { version, epoch } of strays) await files.removeVersion(version, epoch)
  }
}
