import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotReader } from '../engine/engine.ts'
import type { Kind } from '../kinds/kind.ts'
import type { ObjectStore, StoredObject } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { notifyModel } from './channel.ts'
import { ModelFiles } from './model-files.ts'
import { columns, type Version } from './records.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  dataDir: string
}

/** The newest version of a model, not in the archive yet. */
export interface ToArchive extends Version {
  kind: string
  traceparent: string | null
}

/** A table as it lies in the store. */
interface StoredTable extends StoredObject {
  table: string
  rows: number
}

/** Null where the archive has the newest version, or `epoch` is over. */
export async function findToArchive(db: Database, model: string, epoch: number): Promise<ToArchive | null> {
  const [version] = await db.query<ToArchive>(
    `SELECT ${columns.version('v')}, m.kind,
            (SELECT i.traceparent FROM intent i WHERE i.model = v.model AND i.version = v.version ORDER BY i.seq LIMIT 1) AS traceparent
       FROM goal_model m JOIN model_version v ON v.model = m.id AND v.version = m.version
      WHERE m.id = $1 AND m.epoch = $2 AND m.version > m.archived_version AND m.deleted_at IS NULL`,
    [model, epoch],
  )
  return version ?? null
}

/**
 * Puts the Parquet of every table at MODEL/VERSION/TABLE.parquet, then a manifest that says what belongs to it, and then
 * marks the version as archived. Done again it puts the same bytes, whoever does it; only `epoch` can mark it.
 */
export async function archiveVersion(
  deps: Deps,
  of: { version: ToArchive; kind: Kind; reader: SnapshotReader; epoch: number; signal: AbortSignal },
): Promise<void> {
  const { version, kind, reader, epoch, signal } = of
  const folder = await new ModelFiles(deps.dataDir, version.model).archive(epoch)
  try {
    const tables: StoredTable[] = []
    for (const table of kind.tables.keys()) {
      const path = join(folder, `${table}.parquet`)
      const { rows } = await reader.exportParquet({ table }, path)
      const stored = await deps.objects.putFile(keyOf(version, `${table}.parquet`), path, { signal })
      await rm(path)
      tables.push({ table, rows, ...stored })
    }
    const contentType = 'application/json'
    await deps.objects.put(keyOf(version, 'manifest.json'), manifestOf(version, tables), { contentType, signal })
    await mark(deps, version, epoch, tables)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function mark(
  { db, objects }: Deps,
  version: Version,
  epoch: number,
  tables: readonly StoredTable[],
): Promise<void> {
  await db.transaction(async tx => {
    const [marked] = await tx.query(
      `UPDATE goal_model SET archived_version = $3
        WHERE id = $1 AND epoch = $2 AND archived_version < $3 AND version >= $3 RETURNING id`,
      [version.model, epoch, version.version],
    )
    if (!marked) return
    await tx.query(
      `INSERT INTO content_index (model, version, form, table_name, name, uri, bytes, rows, sha256)
       SELECT $1, $2, 'PARQUET', t."table", t.name, t.uri, t.bytes, t.rows, t.sha256
         FROM json_to_recordset($3) AS t ("table" text, name text, uri text, bytes bigint, rows bigint, sha256 text)
       ON CONFLICT (model, version, form, name) DO NOTHING`,
      [
        version.model,
        version.version,
        JSON.stringify(tables.map(t => ({ ...t, name: `${t.table}.parquet`, uri: objects.uri(t.key) }))),
      ],
    )
    await notifyModel(tx, version.model)
  })
}

const keyOf = (version: Pick<Version, 'model' | 'version'>, name: string) =>
  `${version.model}/${version.version}/${name}`

function manifestOf(version: ToArchive, tables: readonly StoredTable[]): Uint8Array {
  const { model, kind, epoch, lastSeq, publishedAt } = version
  const manifest = {
    format: 1,
    model,
    kind,
    version: version.version,
    epoch,
    lastSeq: String(lastSeq),
    publishedAt,
    tables,
  }
  return Buffer.from(`${JSON.stringify(manifest, null, 2)}\n`)
}
