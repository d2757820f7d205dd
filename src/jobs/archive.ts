import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import type { Engine, Readers } from '../engine/engine.ts'
import type { Kinds } from '../kinds/kind.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore, StoredObject } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { span } from '../platform/telemetry/index.ts'
import { notifyModel } from './channel.ts'
import { ModelFiles } from './model-files.ts'
import { columns, type Version } from './records.ts'

interface Deps {
  db: Database
  objects: ObjectStore
  kinds: Kinds
  engines: ReadonlyMap<string, Engine>
  dataDir: string
  log: Log
}

interface ToArchive extends Version {
  kind: string
  engine: string
  files: string[]
  traceparent: string | null
}

const MIN_REST_MS = 1000

/**
 * The archive of a version: the Parquet of every table at MODEL/VERSION/TABLE.parquet, and a manifest, written last,
 * that says what belongs to it. Behind the scenes: publishing never waits for the store. The newest version is archived,
 * and while that goes on those published meanwhile become one next archive.
 */
export class Archiver {
  readonly #deps: Deps
  readonly #waiting = new Set<string>()
  /** Until when a model rests, and who wakes it: while versions come by the dozen, archiving takes a tenth of the time. */
  readonly #resting = new Map<string, { until: number; timer: NodeJS.Timeout | null }>()
  readonly #readers = new Map<string, Promise<Readers>>()
  readonly #stop = new AbortController()
  #run: Promise<void> | null = null

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /** Sees to it that the model's newest version comes to be archived. */
  request(model: string): void {
    if (this.#stop.signal.aborted) return
    const rest = this.#resting.get(model)
    const left = (rest?.until ?? 0) - performance.now()
    if (rest && left > 0) {
      rest.timer ??= setTimeout(() => this.request(model), left + 1)
      return
    }
    this.#resting.delete(model)
    this.#waiting.add(model)
    this.#run ??= this.#drain().finally(() => {
      this.#run = null
    })
  }

  async #drain(): Promise<void> {
    let failures = 0
    for (let [model] = this.#waiting; model !== undefined && !this.#stop.signal.aborted; [model] = this.#waiting) {
      this.#waiting.delete(model)
      try {
        const started = performance.now()
        await this.#archive(model)
        const ended = performance.now()
        this.#resting.set(model, { until: ended + Math.max(MIN_REST_MS, 9 * (ended - started)), timer: null })
        // Versions that were published meanwhile wait for the rest, too.
        if (this.#waiting.delete(model)) this.request(model)
        failures = 0
      } catch (error) {
        if (this.#stop.signal.aborted) return
        this.#deps.log.warn({ model, err: error }, 'the archive is behind; it is tried again')
        this.#waiting.add(model)
        await wait(Math.min(1000 * 2 ** failures++, 60_000), undefined, {
          signal: this.#stop.signal,
          ref: false,
        }).catch(() => {})
      }
    }
  }

  async #archive(model: string): Promise<void> {
    const [version] = await this.#deps.db.query<ToArchive>(
      `SELECT ${columns.version('v')}, m.kind, m.engine,
              coalesce((SELECT json_agg(c.name) FROM content_index c
                WHERE c.model = v.model AND c.version = v.version AND c.form = m.engine), '[]') AS files,
              (SELECT i.traceparent FROM intent i WHERE i.model = v.model AND i.version = v.version ORDER BY i.seq LIMIT 1) AS traceparent
         FROM goal_model m JOIN model_version v ON v.model = m.id AND v.version = m.version
        WHERE m.id = $1 AND m.version > m.archived_version AND m.deleted_at IS NULL`,
      [model],
    )
    if (!version) return
    const attributes = { 'teatree.model': model, 'teatree.version': version.version }
    await span('archive', { parent: version.traceparent, attributes }, () => this.#write(version))
  }

  async #write(version: ToArchive): Promise<void> {
    const { db, dataDir, engines, kinds, objects } = this.#deps
    const kind = kinds.get(version.kind)
    const engine = engines.get(version.engine)
    if (!kind || !engine) throw new Error(`kind ${version.kind} on ${version.engine} is not known`)
    const folder = join(dataDir, 'models', version.model, 'archive')
    await rm(folder, { recursive: true, force: true })
    await mkdir(folder, { recursive: true })
    const files = new ModelFiles(dataDir, version.model).snapshotFiles(version, version.files)
    const reader = await (await this.#readersOf(engine)).open({ kind, files })
    try {
      const tables = []
      for (const table of kind.tables.keys()) {
        const path = join(folder, `${table}.parquet`)
        const { rows } = await reader.exportParquet(table, path)
        const stored = await objects.putFile(archiveKey(version, `${table}.parquet`), path, {
          signal: this.#stop.signal,
        })
        await rm(path)
        tables.push({ table, rows, ...stored })
      }
      await objects.put(archiveKey(version, 'manifest.json'), manifestOf(version, tables), {
        contentType: 'application/json',
      })
      await this.#mark(version, tables)
    } finally {
      await reader.close()
      await rm(folder, { recursive: true, force: true })
    }
    await notifyModel(db, version.model)
  }

  #readersOf(engine: Engine): Promise<Readers> {
    const there = this.#readers.get(engine.name)
    if (there) return there
    const opening = engine.openReaders()
    this.#readers.set(engine.name, opening)
    return opening
  }

  async #mark(version: Version, tables: readonly (StoredObject & { table: string; rows: number })[]): Promise<void> {
    const { db, objects } = this.#deps
    await db.transaction(async tx => {
      const [marked] = await tx.query(
        'UPDATE goal_model SET archived_version = $2 WHERE id = $1 AND archived_version < $2 AND version >= $2 RETURNING id',
        [version.model, version.version],
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
    })
  }

  async close(): Promise<void> {
    this.#stop.abort(new Error('the manager stops'))
    for (const { timer } of this.#resting.values()) if (timer) clearTimeout(timer)
    await this.#run
    for (const readers of this.#readers.values()) await (await readers).close()
  }
}

const archiveKey = (version: Pick<Version, 'model' | 'version'>, name: string) =>
  `${version.model}/${version.version}/${name}`

function manifestOf(
  version: ToArchive,
  tables: readonly (StoredObject & { table: string; rows: number })[],
): Uint8Array {
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
