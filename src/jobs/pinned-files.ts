import { createHash, randomUUID } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { blockDigest, blocksOf } from '../engine/blocks.ts'
import type { BlockManifest, Engine } from '../engine/engine.ts'
import type { Log } from '../platform/log.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Database } from '../platform/postgres.ts'
import { unlessAborted } from '../platform/unless-aborted.ts'
import { mediaTypeOf, type StoredFile, storedKeys, storedName } from './content.ts'
import type { Download, Downloads } from './downloads.ts'
import { Pauses } from './pauses.ts'
import { columns, type Version } from './records.ts'

const LOOK_MS = 2000
/** Asked for in one go. */
const MAX_VERSIONS = 100

interface Deps {
  db: Database
  objects: ObjectStore
  downloads: Downloads
  engines: ReadonlyMap<string, Engine>
  log: Log
}

/**
 * Keeps the files of pinned versions in the object store too, for as long as they are pinned, so that who fetches one can
 * be sent there. Any number of processes may be at it, and two at one file cost a transfer and no more: who has the same
 * row puts the same bytes under the same name, a store shows a file whole or not at all, and the last of them finds the
 * row STORED, or gone, and then removes what it has put. A claim on the row would have to run out for those that die with it.
 * What one leaves who dies before he can see that his row is gone, the model's manager removes (archive-retention.ts).
 *
 *   pinned ─▶ COMING ─▶ put, read back ─▶ STORED ─ last label released ─▶ GOING ─▶ removed
 */
export class PinnedFiles {
  readonly #deps: Deps
  readonly #stop = new AbortController()
  /** Versions whose file could not be stored, as MODEL@VERSION. */
  readonly #pauses = new Pauses<string>()
  #timer: NodeJS.Timeout | undefined
  #removing: Promise<void> | null = null
  #storing: Promise<void> | null = null

  constructor(deps: Deps) {
    this.#deps = deps
  }

  start(): void {
    this.#timer = setInterval(() => void this.look(), LOOK_MS)
    void this.look()
  }

  /** Removes and stores what there is to; settles when that is done, or has failed and is in the log. */
  async look(): Promise<void> {
    const failed = (error: unknown) => this.#deps.log.warn({ err: error }, 'pinned versions could not be looked for')
    // What is to go does not wait until all that is on its way is there, which may take long.
    this.#removing ??= this.#removeReleased()
      .catch(failed)
      .finally(() => {
        this.#removing = null
      })
    this.#storing ??= this.#removing
      .then(() => this.#storeAll())
      .catch(failed)
      .finally(() => {
        this.#storing = null
      })
    await Promise.all([this.#removing, this.#storing])
  }

  async #storeAll(): Promise<void> {
    for (let found = await this.#toStore(); found.length > 0; found = await this.#toStore()) {
      for (const version of found) {
        if (this.#stop.signal.aborted) return
        await this.#attempt(version)
      }
    }
  }

  /** One that cannot be stored is left alone for a while, and holds up no other. */
  async #attempt(version: Version): Promise<void> {
    const { model, version: number } = version
    const key = `${model}@${number}`
    try {
      await this.#store(version)
      this.#pauses.clear(key)
    } catch (error) {
      if (this.#stop.signal.aborted) return
      this.#deps.log.warn({ model, version: number, err: error }, 'a pinned version is not in the store; tried again')
      this.#pauses.failed(key)
    }
  }

  /** Those that are not left alone; each process begins elsewhere, so that few are put by two at once. One that is being removed is stored again when it is gone. */
  #toStore(): Promise<Version[]> {
    const engines = [...this.#deps.engines.values()]
    return this.#deps.db.query<Version>(
      `SELECT ${columns.version('v')} FROM (SELECT DISTINCT model, version FROM version_pin) p
         JOIN model_version v ON v.model = p.model AND v.version = p.version
         JOIN goal_model m ON m.id = v.model
        WHERE v.kept AND NOT v.lost AND v.version > 0 AND m.deleted_at IS NULL
          AND (m.engine = ANY($1) AND NOT EXISTS (SELECT FROM content_index c WHERE c.model = v.model AND c.version = v.version
                 AND c.role IN ('STORED', 'GOING') AND c.query_run IS NULL)
            OR m.engine = ANY($4) AND EXISTS (SELECT FROM content_index f WHERE f.model = v.model AND f.version = v.version
                 AND f.form = m.engine AND f.role = 'PUBLISHED' AND NOT EXISTS (SELECT FROM content_index c
                   WHERE c.model = f.model AND c.version = f.version AND c.form = f.form AND c.name = 'store/' || f.name
                     AND c.role IN ('STORED', 'GOING'))))
          AND NOT v.model || '@' || v.version = ANY($2)
        ORDER BY random() LIMIT $3`,
      [
        engines.flatMap(({ name, exportFile }) => (exportFile ? [name] : [])),
        this.#pauses.paused(),
        MAX_VERSIONS,
        engines.flatMap(({ name, checkFile }) => (checkFile ? [name] : [])),
      ],
    )
  }

  async #store(version: Version): Promise<void> {
    const { downloads } = this.#deps
    const { signal } = this.#stop
    for (const name of await downloads.names(version)) {
      // What is being made is made for others too, and nobody who stops waits for it.
      await this.#storeFile(version, await unlessAborted(downloads.file(version, name), signal))
    }
  }

  async #storeFile(version: Version, file: Download): Promise<void> {
    const { db, objects } = this.#deps
    const { signal } = this.#stop
    const row = await this.#coming(version, file)
    if (!row) return
    const keys = storedKeys(row)
    await objects.putFile(keys.file, file.path, { signal, contentType: mediaTypeOf(file.name) })
    await checkStored(await objects.get(keys.file, { signal }), file)
    if (keys.blocks !== undefined && file.manifestPath !== null)
      await objects.putFile(keys.blocks, file.manifestPath, { signal, contentType: 'application/json' })
    const stored = await db.query(
      `UPDATE content_index SET role = 'STORED' WHERE id = $1 AND role IN ('COMING', 'STORED') RETURNING id`,
      [row.id],
    )
    // Released and removed meanwhile: nobody else knows that it is there again.
    if (stored.length === 0) await this.#remove(row)
  }

  /**
   * Writes down that it is on its way, before its first byte is in the store: whatever becomes of us, somebody knows of it
   * and removes it. Null where it is not to be put (yet): another file of the version has to go first.
   */
  async #coming({ model, version }: Version, file: Download): Promise<StoredFile | null> {
    const { db, objects } = this.#deps
    const id = randomUUID()
    const { form, name } = file
    const uri = objects.uri(storedKeys({ model, version, form, id }).file)
    const [row] = await db.query<StoredFile & { sha256: string }>(
      `INSERT INTO content_index AS c (id, model, version, form, name, uri, bytes, sha256, role)
       VALUES ($1, $2, $3, $8, $4, $5, $6, $7, 'COMING')
       ON CONFLICT (model, version, form, name) DO UPDATE
          SET role = CASE WHEN c.sha256 = excluded.sha256 THEN 'COMING' ELSE 'GOING' END WHERE c.role = 'COMING'
       RETURNING c.id, c.model, c.version, c.form, c.sha256`,
      [id, model, version, storedName(name), uri, file.bytes, file.sha256, form],
    )
    return row?.sha256 === file.sha256 ? row : null
  }

  async #removeReleased(): Promise<void> {
    const { db, log } = this.#deps
    const going = await db.query<StoredFile>(
      `UPDATE content_index c SET role = 'GOING'
        WHERE c.role IN ('COMING', 'STORED', 'GOING') AND c.query_run IS NULL
          AND (c.role = 'GOING'
               OR NOT EXISTS (SELECT FROM version_pin p WHERE p.model = c.model AND p.version = c.version)
               OR EXISTS (SELECT FROM goal_model m WHERE m.id = c.model AND m.deleted_at IS NOT NULL)
               -- Of a version that was made again, what it consisted of before.
               OR c.form = 'ARROW' AND NOT EXISTS (SELECT FROM content_index f WHERE f.model = c.model AND f.version = c.version
                    AND f.form = c.form AND f.role = 'PUBLISHED' AND 'store/' || f.name = c.name AND f.sha256 = c.sha256))
       RETURNING c.id, c.model, c.version, c.form`,
    )
    for (const row of going) {
      try {
        await this.#remove(row)
        await db.query(`DELETE FROM content_index WHERE id = $1 AND role = 'GOING'`, [row.id])
      } catch (error) {
        log.warn({ ...row, err: error }, 'a file in the store was not removed; tried again')
      }
    }
  }

  async #remove(row: StoredFile): Promise<void> {
    for (const key of Object.values(storedKeys(row))) await this.#deps.objects.delete(key)
  }

  /** Stops what is under way: it is begun anew by the next process. */
  async close(): Promise<void> {
    clearInterval(this.#timer)
    this.#stop.abort(new Error('the server stops'))
    await Promise.all([this.#removing, this.#storing])
  }
}

/** Reads it back: what a store answered with success is not always what it keeps. */
async function checkStored(body: Readable | null, { sha256, manifestPath }: Download): Promise<void> {
  const stored = body ?? Readable.from([])
  const isThere =
    manifestPath === null ? (await digestOf(stored)) === sha256 : await hasBlocks(stored, await blocksIn(manifestPath))
  if (!isThere) throw new Error('the store does not give back what was put into it')
}

async function digestOf(body: Readable): Promise<string> {
  const digest = createHash('sha256')
  for await (const chunk of body) digest.update(chunk)
  return digest.digest('hex')
}

async function hasBlocks(body: Readable, { blockSize, blocks }: BlockManifest): Promise<boolean> {
  let index = 0
  for await (const block of blocksOf(body, blockSize)) {
    if (blockDigest(block) !== blocks[index]) break
    index++
  }
  return index === blocks.length
}

const blocksIn = async (path: string): Promise<BlockManifest> => JSON.parse(await readFile(path, 'utf8'))
