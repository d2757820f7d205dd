import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import type { ArchivedTable } from './archives.ts'
import { manifestKey, versionOfKey } from './manifest.ts'
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
 * The manifest goes first, and then the objects that no other archive refers to; until the last of them is gone the
 * archive is GOING, so that whoever comes after a crash goes on with it.
 */
export async function letArchivesGo(deps: Deps, of: Of): Promise<void> {
  const { db, objects, log } = deps
  await markGoing(db, of)
  const archives = await db.query<{ version: number; going: boolean; tables: ArchivedTable[] }>(
    `SELECT version, state = 'GOING' AS going, tables FROM archive WHERE model = $1 ORDER BY version`,
    [of.model],
  )
  const kept = new Set(archives.flatMap(({ going, tables }) => (going ? [] : tables.map(({ key }) => key))))
  for (const { version, going, tables } of archives) {
    if (!going) continue
    if (!deps.safe(of.model)) return
    await objects.delete(manifestKey(of.model, version))
    for (const { key } of tables) if (!kept.has(key)) await objects.delete(key)
    await db.query(`DELETE FROM archive WHERE model = $1 AND version = $2 AND state = 'GOING'`, [of.model, version])
    log.debug({ model: of.model, version }, 'an archive was let go')
  }
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
 * Removes what lies in a model's folder of the store and belongs to no archive: left by archives that were begun and never
 * marked. Only below the newest archive, and of no version that might be archived yet.
 */
export async function sweepArchives({ db, objects, safe }: Deps, model: string): Promise<void> {
  const strays = new Map<number, string[]>()
  for await (const { key } of objects.list(`${model}/`)) {
    const version = versionOfKey(key, model)
    if (version !== null) strays.set(version, [...(strays.get(version) ?? []), key])
  }
  const known = await db.query<{ version: number; tables: ArchivedTable[] }>(
    'SELECT version, tables FROM archive WHERE model = $1',
    [model],
  )
  const [{ newest } = { newest: 0 }] = await db.query<{ newest: number }>(
    `SELECT coalesce(max(version), 0) AS newest FROM archive WHERE model = $1 AND state = 'THERE'`,
    [model],
  )
  const keys = new Set(known.flatMap(({ tables }) => tables.map(({ key }) => key)))
  const versions = new Set(known.map(({ version }) => version))
  const possible = await db.query<{ version: number }>('SELECT version FROM model_version WHERE model = $1 AND kept', [
    model,
  ])
  for (const { version } of possible) versions.add(version)
  for (const [version, found] of strays) {
    if (version >= newest || versions.has(version)) continue
    for (const key of [manifestKey(model, version), ...found]) {
      if (keys.has(key)) continue
      if (!safe(model)) return
      await objects.delete(key)
    }
  }
}
