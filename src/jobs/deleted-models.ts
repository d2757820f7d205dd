import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { ModelFiles } from './model-files.ts'
import { neededBetween } from './needed.ts'

/** After this no manager takes itself for that of a deleted model any more, unless it is frozen. */
const UNAWARE_SECONDS = 10
/** And after this nobody is left who could still put something into the store in its name. */
const LATE_SECONDS = 24 * 60 * 60

/** Removes the files of deleted models. Their managers have lost them: what one still has open lives until it closes. */
export async function removeDeleted({ db, dataDir }: { db: Database; dataDir: string }): Promise<void> {
  const folders = await readdir(join(dataDir, 'models')).catch(() => [])
  if (folders.length === 0) return
  const deleted = await db.query<{ id: string }>(
    'SELECT id FROM goal_model WHERE id = ANY($1) AND deleted_at < clock_timestamp() - make_interval(secs => $2)',
    [folders, UNAWARE_SECONDS],
  )
  for (const { id } of deleted) await new ModelFiles(dataDir, id).removeAll()
}

/** SQL: an intent of another model is under way that reads the model. Those under way are few: OFFSET 0 as in needed.ts. */
const isBeingRead = (model: string): string => `EXISTS (
  SELECT FROM (SELECT id FROM intent WHERE status IN ('QUEUED', 'RUNNING') OFFSET 0) i
   CROSS JOIN LATERAL (SELECT FROM intent_read WHERE intent = i.id AND model = ${model} OFFSET 0) r)`

/**
 * Removes what the store holds of deleted models, once no version of another model would be made again from it: one that
 * has read it, or began as its copy, and has no archive since. Once deleted a model is read by nobody anew, so what is
 * not needed is not needed later. Then, and once more a day after the model was deleted, for those who were at work in
 * its name: the archives are marked first, the objects go, and then what is known of them. Any number may be at it.
 */
export async function clearStore({ db, objects }: { db: Database; objects: ObjectStore }): Promise<void> {
  const due = await db.query<{ id: string; last: boolean }>(
    `SELECT m.id, m.deleted_at < clock_timestamp() - make_interval(secs => $2) AS last
       FROM goal_model m
      WHERE m.deleted_at IS NOT NULL AND m.in_store <> 'NOTHING'
        AND m.deleted_at < clock_timestamp() - make_interval(secs => CASE m.in_store WHEN 'ALL' THEN $1 ELSE $2 END)
        AND NOT ${isBeingRead('m.id')} AND NOT ${neededBetween('m.id', '1', 'NULL')}`,
    [UNAWARE_SECONDS, LATE_SECONDS],
  )
  for (const { id, last } of due) {
    await db.query(`UPDATE archive SET state = 'GOING' WHERE model = $1`, [id])
    for (const folder of await versionFolders(objects, id)) await objects.deletePrefix(folder)
    await db.transaction(async tx => {
      await tx.query('DELETE FROM archive WHERE model = $1', [id])
      // What is known of pinned files and results goes with them (pinned-files.ts, stored-results.ts).
      await tx.query(
        `DELETE FROM content_index WHERE model = $1 AND role IN ('PUBLISHED', 'CLEAN') AND query_run IS NULL`,
        [id],
      )
      await tx.query('UPDATE goal_model SET in_store = $2 WHERE id = $1', [id, last ? 'NOTHING' : 'LATE'])
    })
  }
}

/** Whatever else is below a model's id is not the model's: a model may be called `uploads`. */
async function versionFolders(objects: ObjectStore, model: string): Promise<Set<string>> {
  const folders = new Set<string>()
  for await (const { key } of objects.list(`${model}/`)) {
    const [folder] = /^[^/]+\/[1-9]\d*\//.exec(key) ?? []
    if (folder !== undefined) folders.add(folder)
  }
  return folders
}
