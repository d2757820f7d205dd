import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { blockDigest, blocksOf } from '../engine/blocks.ts'
import type { BlockManifest, Engine } from '../engine/engine.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import type { CleanFile, Downloads } from './clean-files.ts'
import { DATABASE_FILE, storedKey } from './content.ts'
import { columns, type Version } from './records.ts'

const LOOK_MS = 2000
/** Between two tries of a version whose file could not be stored: at first, and doubled from then on up to the second. */
const RETRY_MS = { first: 1000, most: 60_000 }
/** Looked at in one go. */
const MAX_VERSIONS = 100
/** What the index calls it, beside the file of the same version on disk. */
const NAME = `store/${DATABASE_FILE}`
const MANIFEST = 'blocks.json'

interface Deps {
  db: Database
  objects: ObjectStore
  downloads: Downloads
  engines: ReadonlyMap<string, Engine>
  log: Log
}

/**
 * Keeps the files of pinned versions in the object store too, for as long as they are pinned, so that who fetches one can
 * be sent there. Any number of processes may be at it: each puts the same bytes under the same name.
 *
 *   pinned ─▶ COMING ─▶ put, read back ─▶ STORED ─ last label released ─▶ GOING ─▶ removed
 */
export class PinnedFiles {
  readonly #deps: Deps
  readonly #stop = new AbortController()
  /** Versions whose file could not be stored: until when they are left alone, and how often in a row that was. */
  readonly #pauses = new Map<string, { until: number; failures: number }>()
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> | null = null

  constructor(deps: Deps) {
    this.#deps = deps
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
    void this.look()
  }

  /** Removes and stores what there is to; settles when that is done, or has failed and is in the log. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch(error => this.#deps.log.warn({ err: error }, 'pinned versions could not be looked for'))
      .finally(() => {
        this.#looking = null
      })
    return this.#looking
  }

  async #look(): Promise<void> {
    await this.#removeReleased()
    const now = performance.now()
    for (const version of await this.#toStore()) {
      const key = storedKey(version)
      const failures = this.#pauses.get(key)?.failures ?? 0
      if (this.#stop.signal.aborted) return
      if ((this.#pauses.get(key)?.until ?? 0) > now) continue
      try {
        await this.#store(version)
        this.#pauses.delete(key)
      } catch (error) {
        if (this.#stop.signal.aborted) return
        const { model, version: number } = version
        this.#deps.log.warn({ model, version: number, err: error }, 'a pinned version is not in the store; tried again')
        const pause = Math.min(RETRY_MS.first * 2 ** failures, RETRY_MS.most)
        this.#pauses.set(key, { until: performance.now() + pause, failures: failures + 1 })
      }
    }
  }

  /** One that is being removed is stored again when it is gone. */
  #toStore(): Promise<Version[]> {
    const engines = [...this.#deps.engines.values()].flatMap(({ name, exportFile }) => (exportFile ? [name] : []))
    return this.#deps.db.query<Version>(
      `SELECT ${columns.version('v')} FROM (SELECT DISTINCT model, version FROM version_pin) p
         JOIN model_version v ON v.model = p.model AND v.version = p.version
         JOIN goal_model m ON m.id = v.model
        WHERE v.kept AND v.version > 0 AND m.deleted_at IS NULL AND m.engine = ANY($1)
          AND NOT EXISTS (SELECT FROM content_index c WHERE c.model = v.model AND c.version = v.version
                             AND c.role IN ('STORED', 'GOING') AND c.query_run IS NULL)
        ORDER BY v.model, v.version LIMIT $2`,
      [engines, MAX_VERSIONS],
    )
  }

  async #store(version: Version): Promise<void> {
    const { db, objects, downloads } = this.#deps
    const { signal } = this.#stop
    // What is being made is made for others too, and nobody who stops waits for it.
    const file = await Promise.race([downloads.of(version), aborted(signal)])
    const key = storedKey(version)
    // Before its first byte is in the store: whatever becomes of us, somebody knows of it and removes it.
    await db.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, role)
       VALUES ($1, $2, 'DUCKDB', $3, $4, $5, $6, 'COMING')
       ON CONFLICT (model, version, form, name) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256
        WHERE content_index.role = 'COMING'`,
      [version.model, version.version, NAME, objects.uri(key), file.bytes, file.sha256],
    )
    await objects.putFile(key, file.path, { signal, contentType: 'application/vnd.duckdb' })
    await checkStored(await objects.get(key, { signal }), file)
    await objects.putFile(storedKey(version, MANIFEST), file.manifestPath, { signal, contentType: 'application/json' })
    const stored = await db.query(
      `UPDATE content_index SET role = 'STORED'
        WHERE model = $1 AND version = $2 AND name = $3 AND role IN ('COMING', 'STORED') AND sha256 = $4 RETURNING id`,
      [version.model, version.version, NAME, file.sha256],
    )
    // Released and removed meanwhile: nobody else knows that it is there again.
    if (stored.length === 0) await this.#remove(version)
  }

  async #removeReleased(): Promise<void> {
    const { db } = this.#deps
    const going = await db.query<{ id: string; model: string; version: number }>(
      `UPDATE content_index c SET role = 'GOING'
        WHERE c.role IN ('COMING', 'STORED', 'GOING') AND c.query_run IS NULL
          AND (c.role = 'GOING'
               OR NOT EXISTS (SELECT FROM version_pin p WHERE p.model = c.model AND p.version = c.version)
               OR EXISTS (SELECT FROM goal_model m WHERE m.id = c.model AND m.deleted_at IS NOT NULL))
       RETURNING c.id, c.model, c.version`,
    )
    for (const { id, ...version } of going) {
      await this.#remove(version)
      await db.query(`DELETE FROM content_index WHERE id = $1 AND role = 'GOING'`, [id])
    }
  }

  async #remove(version: Pick<Version, 'model' | 'version'>): Promise<void> {
    for (const name of [DATABASE_FILE, MANIFEST]) await this.#deps.objects.delete(storedKey(version, name))
  }

  /** Stops what is under way: it is begun anew by the next process. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort(new Error('the server stops'))
    await this.#looking
  }
}

/** Rejects when the signal aborts. */
const aborted = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const end = () => reject(signal.reason)
    if (signal.aborted) end()
    else signal.addEventListener('abort', end, { once: true })
  })

/** Reads it back block by block: what a store answered with success is not always what it keeps. */
async function checkStored(body: Readable | null, { manifestPath }: CleanFile): Promise<void> {
  const { blockSize, blocks }: BlockManifest = JSON.parse(await readFile(manifestPath, 'utf8'))
  let index = 0
  for await (const block of blocksOf(body ?? Readable.from([]), blockSize)) {
    if (blockDigest(block) !== blocks[index]) break
    index++
  }
  if (index !== blocks.length) throw new Error('the store does not give back what was put into it')
}
