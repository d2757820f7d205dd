import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { ModelFiles } from './model-files.ts'
import { describedDir } from './uploads.ts'

/** The newest versions that are kept whoever asks. */
const KEPT_VERSIONS = 3

/**
 * Lets versions go: all but the newest three, those that are pinned, and those that an intent read which no archive of
 * its model holds yet (applying it again must read the same). A file that is open in a reader lives until it is closed.
 */
export async function letGo({ db, dataDir }: { db: Database; dataDir: string }, model: string): Promise<void> {
  const gone = await db.transaction(async tx => {
    // Locked by one statement and looked at by the next: who pins a version holds its row for sharing, and what he has
    // written is seen only by a statement that began after him.
    const old = await tx.query<{ version: number }>(
      `SELECT v.version FROM model_version v
        WHERE v.model = $1 AND v.kept AND v.version <= (SELECT version FROM goal_model WHERE id = $1) - $2
        ORDER BY v.version FOR NO KEY UPDATE`,
      [model, KEPT_VERSIONS],
    )
    if (old.length === 0) return []
    const versions = await tx.query<{ version: number; epoch: number }>(
      `UPDATE model_version v SET kept = false
        WHERE v.model = $1 AND v.version = ANY($2)
          AND NOT EXISTS (SELECT FROM version_pin p WHERE p.model = v.model AND p.version = v.version)
          AND NOT EXISTS (
            SELECT FROM intent_read r JOIN intent i ON i.id = r.intent JOIN goal_model m ON m.id = i.model
             WHERE r.model = v.model AND r.version = v.version AND m.deleted_at IS NULL
               AND (i.ended_at IS NULL OR i.version > m.archived_version))
       RETURNING v.version, v.epoch`,
      [model, old.map(({ version }) => version)],
    )
    // Of what is in the store the row goes last (pinned-files.ts).
    await tx.query(
      `DELETE FROM content_index WHERE model = $1 AND version = ANY($2) AND form IN ('DUCKDB', 'ARROW')
          AND role IN ('PUBLISHED', 'CLEAN')`,
      [model, versions.map(({ version }) => version)],
    )
    return versions
  })
  const files = new ModelFiles(dataDir, model)
  for (const { version, epoch } of gone) await files.removeVersion(version, epoch)
}

/** Removes the files of deleted models. Their managers have lost them: what one still has open lives until it closes. */
export async function removeDeleted({ db, dataDir }: { db: Database; dataDir: string }): Promise<void> {
  const folders = await readdir(join(dataDir, 'models')).catch(() => [])
  if (folders.length === 0) return
  const deleted = await db.query<{ id: string }>(
    'SELECT id FROM goal_model WHERE id = ANY($1) AND deleted_at < clock_timestamp() - make_interval(secs => 10)',
    [folders],
  )
  for (const { id } of deleted) await new ModelFiles(dataDir, id).removeAll()
}

/**
 * Removes uploads that nobody has asked for this long: those that no intent imports, and those whose rows an archive
 * holds by now. An intent that asks for one at this moment finds it, or is told that it is gone: both write its row.
 */
export async function removeUploads(
  { db, objects, dataDir }: { db: Database; objects: ObjectStore; dataDir: string },
  unusedSeconds: number,
): Promise<void> {
  const going = await db.query<{ id: string; key: string }>(
    `UPDATE upload u SET state = 'GOING'
      WHERE u.used_at < clock_timestamp() - make_interval(secs => $1)
        AND NOT EXISTS (
          SELECT FROM intent i JOIN goal_model m ON m.id = i.model
           WHERE i.upload = u.id AND m.deleted_at IS NULL AND (i.ended_at IS NULL OR i.version > m.archived_version))
     RETURNING u.id, u.key`,
    [unusedSeconds],
  )
  for (const { id, key } of going) {
    await objects.delete(key)
    await db.query('DELETE FROM upload WHERE id = $1', [id])
  }
  const folder = describedDir(dataDir)
  for (const name of await readdir(folder).catch(() => [])) {
    // Left by a process that was killed as it looked into one.
    const path = join(folder, name)
    const left = await stat(path).catch(() => null)
    if (left && Date.now() - left.mtimeMs > unusedSeconds * 1000) await rm(path, { force: true })
  }
}
