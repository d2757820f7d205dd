import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import type { SnapshotReader } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import type { Kind } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import { reach } from '../platform/kill-points.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { type Archive, type ArchivedTable, archivesUpTo, manifestKey, tableKey } from './archives.ts'
import { notifyModel } from './channel.ts'
import { hasUnarchivedPin } from './chores.ts'
import { manifestText } from './manifest.ts'
import { ModelFiles } from './model-files.ts'
import { Fenced } from './publish.ts'
import { columns, type Version } from './records.ts'
import { comparableTables, unchangedTables } from './unchanged.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  dataDir: string
  /** Whether no other manager can have taken the model yet. */
  safe(model: string): boolean
}

/** A version of a model that is to be archived. */
export interface ToArchive extends Version {
  kind: string
  engine: EngineName
  traceparent: string | null
}

/**
 * The newest version, where the archive does not have it, else a pinned one that has no archive of its own; null where there
 * is nothing to archive, or `epoch` is over. Versions whose files are lost come when they have been made again.
 */
export async function findToArchive(db: Database, model: string, epoch: number): Promise<ToArchive | null> {
  const [version] = await db.again<ToArchive>(
    `SELECT ${columns.version('v')}, m.kind, m.engine,
            (SELECT i.traceparent FROM intent i WHERE i.model = v.model AND i.version = v.version ORDER BY i.seq LIMIT 1) AS traceparent
       FROM goal_model m JOIN model_version v ON v.model = m.id AND v.kept
      WHERE m.id = $1 AND m.epoch = $2 AND m.deleted_at IS NULL AND NOT v.lost
        AND ((v.version = m.version AND m.version > m.archived_version) OR ${hasUnarchivedPin('v.model', 'v.version')})
      ORDER BY v.version DESC LIMIT 1`,
    [model, epoch],
  )
  return version ?? null
}

interface Archiving {
  version: ToArchive
  kind: Kind
  reader: SnapshotReader
  epoch: number
  signal: AbortSignal
}

/**
 * Brings a version into the archive: the Parquet of every table that changed, then a manifest that names them, and for the
 * others the objects of an earlier archive; each is read back or looked at before the version is marked as archived. Done
 * again it puts the same rows, and not always the same bytes, which then have another name; only `epoch` can mark it.
 */
export async function archiveVersion(deps: Deps, of: Archiving): Promise<void> {
  const { version, kind, epoch } = of
  const folder = await new ModelFiles(deps.dataDir, version.model).archive(epoch)
  try {
    const [earlier = null] = await archivesUpTo(deps.db, version.model, version.version - 1)
    const unchanged = earlier ? await unchangedTables(deps.db, kind, version, earlier) : new Map()
    const comparable = earlier ? comparableTables(kind, earlier) : new Map()
    const tables: ArchivedTable[] = []
    for (const table of kind.tables.keys()) {
      const there = unchanged.get(table)
      if (there && (await isThere(deps, there))) tables.push(there)
      else tables.push(await put(deps, of, { table, folder, earlier: comparable.get(table) }))
    }
    await putManifest(deps, of, tables)
    await mark(deps, of, tables, earlier)
    reach('archive.marked')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Puts a table, unless it turns out to be byte for byte what an earlier archive has. */
async function put(
  deps: Deps,
  { version, reader, epoch, signal }: Archiving,
  of: { table: string; folder: string; earlier: ArchivedTable | undefined },
): Promise<ArchivedTable> {
  const { table, folder, earlier } = of
  const path = join(folder, `${table}.parquet`)
  const { bytes, rows } = await reader.exportParquet({ table }, path, signal)
  reach('archive.exported')
  try {
    const sha256 = await digest(createReadStream(path))
    const isSame = earlier?.sha256 === sha256 && earlier.bytes === bytes && earlier.rows === rows
    if (isSame && (await isThere(deps, earlier))) return earlier
    const key = tableKey(version.model, version.version, { table, epoch, sha256 })
    checkSafe(deps, version)
    await deps.objects.putFile(key, path, { expect: { bytes, sha256 }, signal })
    reach('archive.put')
    const kept = await deps.objects.get(key, { signal })
    if (!kept || (await digest(kept)) !== sha256) throw notKept(key)
    return { table, key, bytes, rows, sha256 }
  } finally {
    await rm(path, { force: true })
  }
}

/** Its bytes were read back when it was put: an object that is there as long as it was is that one. */
const isThere = async ({ objects }: Deps, { key, bytes }: ArchivedTable): Promise<boolean> =>
  (await objects.head(key))?.bytes === bytes

async function digest(bytes: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of bytes) hash.update(chunk)
  return hash.digest('hex')
}

async function putManifest(
  deps: Deps,
  { version, kind, epoch, signal }: Archiving,
  tables: ArchivedTable[],
): Promise<void> {
  const { model, lastSeq, publishedAt, engine } = version
  const text = manifestText({
    format: 2,
    model,
    kind: kind.name,
    engine,
    version: version.version,
    epoch: version.epoch,
    lastSeq: String(lastSeq),
    publishedAt,
    shape: kind.shape,
    tables,
  })
  const key = manifestKey(model, version.version, epoch)
  checkSafe(deps, version)
  await deps.objects.put(key, text, { contentType: 'application/json', signal })
  reach('archive.manifest')
  const kept = await deps.objects.get(key, { signal })
  if (!kept || !(await buffer(kept)).equals(text)) throw notKept(key)
}

/** A manager that was frozen may have a successor by now: what it would put is nobody's. */
function checkSafe({ safe }: Deps, { model }: Version): void {
  if (!safe(model)) throw new Fenced(`the lease of ${model} is about to end`)
}

const notKept = (key: string) =>
  new TeatreeError('UNAVAILABLE', 'The object store did not keep what it was sent.', { details: { key } })

async function mark(
  { db, objects }: Deps,
  { version: { model, version }, kind, epoch }: Archiving,
  tables: readonly ArchivedTable[],
  earlier: Archive | null,
): Promise<void> {
  await db.transaction(async tx => {
    const [held] = await tx.query(
      'SELECT id FROM goal_model WHERE id = $1 AND epoch = $2 AND version >= $3 AND deleted_at IS NULL FOR NO KEY UPDATE',
      [model, epoch, version],
    )
    if (!held) throw new Fenced(`model ${model} is no longer held by epoch ${epoch}`)
    const refers = tables.some(({ key }) => earlier?.tables.some(table => table.key === key))
    if (earlier && refers && !(await isStillThere(tx, earlier)))
      throw new Error(`the archive of version ${earlier.version} that this one refers to is no longer sound`)
    const [marked] = await tx.query(
      `INSERT INTO archive AS a (model, version, shape, tables) VALUES ($1, $2, $3, $4)
       ON CONFLICT (model, version) DO UPDATE
          SET state = 'THERE', shape = excluded.shape, tables = excluded.tables, archived_at = clock_timestamp()
        WHERE a.state <> 'GOING' RETURNING version`,
      [model, version, JSON.stringify(kind.shape), JSON.stringify(tables)],
    )
    if (!marked) throw new Error(`the archive of version ${version} is being removed`)
    await tx.query('UPDATE goal_model SET archived_version = greatest(archived_version, $2) WHERE id = $1', [
      model,
      version,
    ])
    await tx.query(`DELETE FROM content_index WHERE model = $1 AND version = $2 AND form = 'PARQUET'`, [model, version])
    await tx.query(
      `INSERT INTO content_index (model, version, form, table_name, name, uri, bytes, rows, sha256)
       SELECT $1, $2, 'PARQUET', t."table", t.name, t.uri, t.bytes, t.rows, t.sha256
         FROM json_to_recordset($3) AS t ("table" text, name text, uri text, bytes bigint, rows bigint, sha256 text)`,
      [
        model,
        version,
        JSON.stringify(tables.map(t => ({ ...t, name: `${t.table}.parquet`, uri: objects.uri(t.key) }))),
      ],
    )
    await notifyModel(tx, model)
  })
}

async function isStillThere(tx: Pick<Database, 'query'>, { model, version }: Archive): Promise<boolean> {
  const found = await tx.query(`SELECT FROM archive WHERE model = $1 AND version = $2 AND state = 'THERE' FOR SHARE`, [
    model,
    version,
  ])
  return found.length > 0
}
