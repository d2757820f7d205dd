import { randomUUID } from 'node:crypto'
import { mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { manifestDigest } from '../engine/blocks.ts'
import type { BlockManifest, Checksums, Engine } from '../engine/engine.ts'
import { errno } from '../platform/errno.ts'
import type { Database } from '../platform/postgres.ts'
import { syncPath } from '../platform/sync-path.ts'
import { DATABASE_FILE } from './content.ts'
import { areThere } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import { Places } from './places.ts'
import { columns, type Version } from './records.ts'
import { machineFault } from './surroundings.ts'
import { versionGone } from './version-leases.ts'

/** A version as one file, and its block manifest beside it. Nobody writes to either. */
export interface CleanFile {
  path: string
  /** JSON: `{version, bytes, blockSize, blocks}`. */
  manifestPath: string
  bytes: number
  /** Of the manifest's blocks, joined by newlines; hex. */
  sha256: string
}

type ExportFile = NonNullable<Engine['exportFile']>

/** Made at once in this process; each reads and writes a whole file. */
const PLACES = 2
const MANIFEST = 'blocks.json'
/** What a process that was killed left half made is not taken for another's at work after this. */
const STALE_MS = 60 * 60_000

/**
 * Makes a version into one file when somebody first wants to fetch it, once, and keeps it with the version:
 *
 *   asked ─▶ in the index and on disk? ─▶ answered
 *              └ no ─▶ made in N-EPOCH.UUID.tmp ─▶ renamed to N-EPOCH: of several processes one wins ─▶ in the index
 *
 * Nobody's leaving stops it: others may wait for the same.
 */
export class CleanFiles {
  readonly #db: Database
  readonly #engines: ReadonlyMap<string, Engine>
  readonly #dataDir: string
  readonly #places = new Places(PLACES)
  readonly #making = new Map<string, Promise<CleanFile>>()

  constructor(deps: { db: Database; engines: ReadonlyMap<string, Engine>; dataDir: string }) {
    this.#db = deps.db
    this.#engines = deps.engines
    this.#dataDir = deps.dataDir
  }

  /**
   * Of an engine that has single files. SNAPSHOT_GONE where it is let go meanwhile, UNAVAILABLE where the disk is full;
   * SnapshotDamaged, SnapshotMissing of what it would be made from.
   */
  async of(version: Version): Promise<CleanFile> {
    const dir = new ModelFiles(this.#dataDir, version.model).cleanDir(version.version, version.epoch)
    return (await this.#find(version, dir)) ?? (await (this.#making.get(dir) ?? this.#begin(version, dir)))
  }

  #begin(version: Version, dir: string): Promise<CleanFile> {
    const making = this.#places.use(() => this.#make(version, dir)).finally(() => this.#making.delete(dir))
    this.#making.set(dir, making)
    return making
  }

  async #find(version: Version, dir: string): Promise<CleanFile | null> {
    const [row] = await this.#db.query<{ bytes: bigint; sha256: string }>(
      `SELECT bytes, sha256 FROM content_index
        WHERE model = $1 AND version = $2 AND form = 'DUCKDB' AND name = $3 AND role IN ('PUBLISHED', 'CLEAN')`,
      [version.model, version.version, DATABASE_FILE],
    )
    const file = row && fileIn(dir, { bytes: Number(row.bytes), sha256: row.sha256 })
    return file && (await areThere([file.manifestPath, file.path])) ? file : null
  }

  async #make(version: Version, dir: string): Promise<CleanFile> {
    const [found] = await this.#db.query<{ engine: string; checksums: Checksums }>(
      `SELECT m.engine, ${columns.checksums('v', 'm')}
         FROM goal_model m JOIN model_version v ON v.model = m.id WHERE m.id = $1 AND v.version = $2`,
      [version.model, version.version],
    )
    const engine = this.#engines.get(found?.engine ?? '')
    if (!engine?.exportFile) throw new Error('the engine has no single files')
    const manifest =
      (await manifestIn(dir)) ?? (await this.#fill(dir, engine.exportFile, version, found?.checksums ?? {}))
    const file = fileIn(dir, { bytes: manifest.bytes, sha256: manifestDigest(manifest.blocks) })
    if (await this.#register(version, file)) return file
    // Let go meanwhile, by one who may have looked before the folder had its name.
    await rm(dir, { recursive: true, force: true })
    throw versionGone(version)
  }

  /** Where another process was faster, its file is the one. */
  async #fill(dir: string, exportFile: ExportFile, version: Version, checksums: Checksums): Promise<BlockManifest> {
    await removeStale(dir)
    const temporary = `${dir}.${randomUUID()}.tmp`
    try {
      await mkdir(temporary, { recursive: true })
      const files = new ModelFiles(this.#dataDir, version.model).snapshotFiles(version, Object.keys(checksums))
      const of = { version: version.version, files, checksums }
      const manifest = await exportFile(of, join(temporary, DATABASE_FILE))
      await writeSynced(join(temporary, MANIFEST), JSON.stringify({ version: version.version, ...manifest }))
      await syncPath(temporary)
      await rename(temporary, dir)
      await syncPath(dirname(dir))
      return manifest
    } catch (error) {
      await rm(temporary, { recursive: true, force: true })
      const won = ['ENOTEMPTY', 'EEXIST'].includes(errno(error) ?? '') ? await manifestIn(dir) : null
      if (won) return won
      throw machineFault(error) ?? error
    }
  }

  /** False where the version is no longer kept: whoever lets it go waits for this, or has been. */
  #register({ model, version }: Version, { path, bytes, sha256 }: CleanFile): Promise<boolean> {
    return this.#db.transaction(async tx => {
      const kept = await tx.query('SELECT FROM model_version WHERE model = $1 AND version = $2 AND kept FOR SHARE', [
        model,
        version,
      ])
      if (kept.length === 0) return false
      await tx.query(
        `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, role)
         VALUES ($1, $2, 'DUCKDB', $3, $4, $5, $6, 'CLEAN')
         ON CONFLICT (model, version, form, name) DO UPDATE SET bytes = excluded.bytes, sha256 = excluded.sha256
          WHERE content_index.role = 'CLEAN'`,
        [model, version, DATABASE_FILE, `file://${path}`, bytes, sha256],
      )
      // One that had to be made anew is another: the store gets it in place of what it has.
      await tx.query(
        `UPDATE content_index SET role = 'GOING' WHERE model = $1 AND version = $2 AND role = 'STORED' AND sha256 <> $3`,
        [model, version, sha256],
      )
      return true
    })
  }
}

const fileIn = (dir: string, { bytes, sha256 }: { bytes: number; sha256: string }): CleanFile => ({
  path: join(dir, DATABASE_FILE),
  manifestPath: join(dir, MANIFEST),
  bytes,
  sha256,
})

/** Of a folder that has its name, and so is whole. */
async function manifestIn(dir: string): Promise<BlockManifest | null> {
  try {
    return JSON.parse(await readFile(join(dir, MANIFEST), 'utf8'))
  } catch (error) {
    if (errno(error) === 'ENOENT') return null
    throw error
  }
}

async function removeStale(dir: string): Promise<void> {
  const parent = dirname(dir)
  for (const name of await readdir(parent).catch(() => [])) {
    if (!name.startsWith(`${basename(dir)}.`)) continue
    const path = join(parent, name)
    const left = await stat(path).catch(() => null)
    if (left && Date.now() - left.mtimeMs > STALE_MS) await rm(path, { recursive: true, force: true })
  }
}

async function writeSynced(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx')
  await file.writeFile(text)
  await file.sync()
}
