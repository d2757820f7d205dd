import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { type ArchivedTable, archiveObject } from './archives.ts'
import { storedObject } from './content.ts'
import { neededBetween } from './needed.ts'

/** How many archives of a model are kept where nothing else is said. */
export const KEPT_ARCHIVES = 3

interface Deps {
  db: Database
  objects: ObjectStore
  log: Log
  safe(model: string): boolean
}
interface Of {
  model: string
  epoch: number
  /** The newest so many archives stay whoever asks. */
  keep: number
}

/**
 * Lets archives of a model go: all but the newest ones, and those from which a version that is needed would be made again.
 * The manifest goes first, and then the objects that no other archive refers to, also those which tries that were broken
 * off have left; until the last of them is gone the archive is GOING, so that whoever comes after a crash goes on with it.
 */
export async function letArchivesGo(deps: Deps, of: Of): Promise<void> {
  const { db, objects, log } = deps
  if (!(await areMany(db, of))) return
  await markGoing(db, of)
  const archives = await db.query<{ version: number; going: boolean; tables: ArchivedTable[] }>(
    `SELECT version, state = 'GOING' AS going, tables FROM archive WHERE model = $1 ORDER BY version`,
    [of.model],
  )
  const kept = new Set(archives.flatMap(({ going, tables }) => (going ? [] : tables.map(({ key }) => key))))
  for (const { version, going, tables } of archives) {
    if (!going) continue
    const found = archivesAmong(await keysBelow(objects, `${of.model}/${version}/`), of.model).get(version)
    const keys = [...(found?.manifests ?? []), ...(found?.tables ?? []), ...tables.map(({ key }) => key)]
    for (const key of new Set(keys)) {
      if (kept.has(key)) continue
      if (!deps.safe(of.model)) return
      await objects.delete(key)
    }
    await db.query(`DELETE FROM archive WHERE model = $1 AND version = $2 AND state = 'GOING'`, [of.model, version])
    log.debug({ model: of.model, version }, 'an archive was let go')
  }
}

/** Whether there may be some to let go: of most models nothing is to be looked at for that. */
async function areMany(db: Database, { model, keep }: Of): Promise<boolean> {
  const [archives] = await db.again<{ many: boolean }>(
    `SELECT count(*) > $2 OR coalesce(bool_or(state <> 'THERE'), false) AS many FROM archive WHERE model = $1`,
    [model, keep],
  )
  return archives?.many === true
}

/** Nobody is told of them any more from here on. Fenced by the epoch, as whatever changes a model's archives. */
async function markGoing(db: Database, { model, epoch, keep }: Of): Promise<void> {
  await db.transaction(async tx => {
    const [held] = await tx.query('SELECT id FROM goal_model WHERE id = $1 AND epoch = $2 FOR NO KEY UPDATE', [
      model,
      epoch,
    ])
    if (!held) return
    const going = await tx.query<{ version: number }>(
      `WITH there AS (
         SELECT version, row_number() OVER newest AS place, lag(version) OVER newest AS newer
           FROM archive WHERE model = $1 AND state = 'THERE' WINDOW newest AS (ORDER BY version DESC))
       UPDATE archive g SET state = 'GOING'
        WHERE g.model = $1
          AND (g.version IN (SELECT t.version FROM there t WHERE t.place > $2 AND NOT ${neededBetween('$1', 't.version', 't.newer')})
               OR (g.state = 'DAMAGED' AND g.version < (SELECT max(t.version) FROM there t)))
       RETURNING g.version`,
      [model, keep],
    )
    await tx.query(`DELETE FROM content_index WHERE model = $1 AND version = ANY($2) AND form = 'PARQUET'`, [
      model,
      going.map(({ version }) => version),
    ])
  })
}

/**
 * Removes what lies in a model's folders of the store and belongs to nothing: to no archive, left by tries that were broken
 * off, of these only below the newest archive and of no version that may be archived at this moment; and to no file of a pinned
 * version. Answers whether that was all that there is.
 */
export async function sweepStore(deps: Deps, model: string): Promise<boolean> {
  const { db, objects, safe } = deps
  const keys = await keysBelow(objects, `${model}/`)
  await sweepPinned(deps, model, keys)
  const found = archivesAmong(keys, model)
  // Asked after they were found: what is put from here on is not among them.
  const archives = await db.query<{ version: number; there: boolean; tables: ArchivedTable[] }>(
    `SELECT version, state = 'THERE' AS there, tables FROM archive WHERE model = $1 ORDER BY version`,
    [model],
  )
  const kept = await db.query<{ version: number }>('SELECT version FROM model_version WHERE model = $1 AND kept', [
    model,
  ])
  const newest = archives.findLast(({ there }) => there)?.version ?? 0
  const referred = new Set(archives.flatMap(({ tables }) => tables.map(({ key }) => key)))
  const archived = new Set(archives.flatMap(({ version, there }) => (there ? [version] : [])))
  const atWork = new Set([...archives, ...kept].map(({ version }) => version)).difference(archived)
  let isAll = true
  for (const [version, { manifests, tables }] of found) {
    if (version >= newest) continue
    if (atWork.has(version)) {
      isAll = false
      continue
    }
    // The one that counts is that of the newest manager, and last.
    const strays = [...(archived.has(version) ? manifests.slice(0, -1) : manifests), ...tables]
    for (const key of strays) {
      if (referred.has(key)) continue
      if (!safe(model)) return false
      await objects.delete(key)
    }
  }
  return isAll
}

/**
 * Left by one who was killed with a file half put, of a version that was released meanwhile: whoever puts one writes down its
 * row before the first byte is there, and no row comes back. Of a version that the database has yet to come to nothing is
 * removed: it may be one that was restored from before.
 */
async function sweepPinned(
  { db, objects, safe }: Pick<Deps, 'db' | 'objects' | 'safe'>,
  model: string,
  keys: readonly string[],
): Promise<void> {
  const stored = keys.flatMap(key => {
    const stored = storedObject(key, model)
    return stored === null ? [] : [{ key, ...stored }]
  })
  if (stored.length === 0) return
  // Asked after they were found: what is put from here on is not among them.
  const known = await db.query<{ id: string }>('SELECT id FROM content_index WHERE id = ANY($1)', [
    stored.map(({ id }) => id),
  ])
  const [newest] = await db.query<{ version: number }>('SELECT version FROM goal_model WHERE id = $1', [model])
  const ids = new Set(known.map(({ id }) => id))
  for (const { key, id, version } of stored) {
    if (ids.has(id) || version > (newest?.version ?? 0)) continue
    if (!safe(model)) return
    await objects.delete(key)
  }
}

interface Found {
  /** By the epochs of those who wrote them. */
  manifests: string[]
  tables: string[]
}

async function keysBelow(objects: ObjectStore, prefix: string): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of objects.list(prefix)) keys.push(key)
  return keys
}

/** Those that are of the model's archives, by version. */
function archivesAmong(keys: readonly string[], model: string): Map<number, Found> {
  const found = new Map<number, { manifests: { key: string; epoch: number }[]; tables: string[] }>()
  for (const key of keys) {
    const object = archiveObject(key, model)
    if (!object) continue
    const of = found.get(object.version) ?? { manifests: [], tables: [] }
    found.set(object.version, of)
    if (object.is === 'manifest') of.manifests.push({ key, epoch: object.epoch })
    else of.tables.push(key)
  }
  return new Map(
    [...found].map(([version, { manifests, tables }]) => [
      version,
      { manifests: manifests.sort((a, b) => a.epoch - b.epoch).map(({ key }) => key), tables },
    ]),
  )
}
