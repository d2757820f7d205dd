import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { neededBetween, nextArchive } from './needed.ts'
import { describedDir } from './uploads.ts'

/**
 * Removes uploads that nobody has asked for this long: those that no intent imports, and those whose rows an archive
 * holds by now, also for every version that may have to be made again from an older one. An intent that asks for one at
 * this moment finds it, or is told that it is gone: both write its row.
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
           WHERE i.upload = u.id
             AND ((i.ended_at IS NULL AND m.deleted_at IS NULL)
                  OR (i.version IS NOT NULL
                      AND ${neededBetween('i.model', 'i.version', nextArchive('i.model', 'i.version'))})))
     RETURNING u.id, u.key`,
    [unusedSeconds],
  )
  for (const { id, key } of going) {
    await objects.delete(key)
    await db.query('DELETE FROM upload WHERE id = $1', [id])
  }
  // Left by a process that was killed as it looked into one.
  await removeOlder(describedDir(dataDir), unusedSeconds)
}

/** Removes what lies in a folder and was not written to for this long. */
export async function removeOlder(folder: string, seconds: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name)
    const left = await stat(path).catch(() => null)
    if (left && Date.now() - left.mtimeMs > seconds * 1000) await rm(path, { force: true, recursive: true })
  }
}

/** Folders of a model that belong to the manager of an epoch, and to nobody when it is gone. */
const OF_MANAGERS = ['scratch', 'rebuild', 'archive']

/**
 * Removes what managers that were killed have left in the folders of models that nobody holds now. Their epochs are ended
 * before: one that only stood still, and finds its files gone, must not be able to say that its intents failed of that.
 */
export async function removeAbandoned({ db, dataDir }: { db: Database; dataDir: string }): Promise<void> {
  const root = join(dataDir, 'models')
  const found: { model: string; epoch: number; path: string }[] = []
  for (const model of await readdir(root).catch(() => []))
    for (const folder of OF_MANAGERS)
      for (const name of await readdir(join(root, model, folder)).catch(() => []))
        if (/^\d{1,9}$/.test(name)) found.push({ model, epoch: Number(name), path: join(root, model, folder, name) })
  if (found.length === 0) return
  const of = [found.map(({ model }) => model), found.map(({ epoch }) => epoch)]
  await db.query(
    // Locked in the order of their ids, as by whoever locks several.
    `WITH abandoned AS (
       SELECT m.id, f.epoch
         FROM goal_model m
         JOIN (SELECT model, max(epoch) AS epoch FROM unnest($1::text[], $2::integer[]) AS f (model, epoch) GROUP BY model) f
           ON f.model = m.id
        WHERE m.epoch <= f.epoch
          AND NOT EXISTS (SELECT FROM model_lease l WHERE l.model = m.id AND l.expires_at > clock_timestamp())
        ORDER BY m.id FOR NO KEY UPDATE OF m)
     UPDATE goal_model m SET epoch = a.epoch + 1 FROM abandoned a WHERE m.id = a.id`,
    of,
  )
  // Whoever is in an epoch since has a folder of that.
  const models = await db.query<{ id: string; epoch: number }>('SELECT id, epoch FROM goal_model WHERE id = ANY($1)', [
    of[0],
  ])
  for (const { model, epoch, path } of found)
    if (!models.some(({ id, epoch: now }) => id === model && now <= epoch))
      await rm(path, { recursive: true, force: true })
}
