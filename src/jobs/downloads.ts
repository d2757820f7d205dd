import type { Engine } from '../engine/engine.ts'
import { SnapshotDamaged } from '../engine/snapshot-damaged.ts'
import { SnapshotMissing } from '../engine/snapshot-missing.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Database } from '../platform/postgres.ts'
import { CleanFiles } from './clean-files.ts'
import { DATABASE_FILE, MANIFEST_FILE } from './content.ts'
import { markLost, VersionLost } from './lost.ts'
import { ModelFiles } from './model-files.ts'
import type { ContentForm, Version } from './records.ts'
import { versionGone } from './version-leases.ts'

/** A file of a version for those who fetch it. Nobody writes to it. */
export interface Download {
  form: ContentForm
  /** What /content calls it. */
  name: string
  path: string
  bytes: number
  /** Hex; of what has blocks, of its block manifest, else of its bytes. */
  sha256: string
  /** Its block manifest, JSON: `{version, bytes, blockSize, blocks}`. */
  manifestPath: string | null
}

/** The versions of models as files for those who fetch them: as one file, or as those that they consist of, the engine says which. */
export interface Downloads {
  /** The names of all of them. Rejects as `file` does. */
  names(version: Version): Promise<string[]>
  /**
   * NOT_FOUND where the version has no such file, SNAPSHOT_GONE where it is no longer kept, UNAVAILABLE where it is being made
   * again, or the disk is full.
   */
  file(version: Version, name: string): Promise<Download>
}

interface Deps {
  db: Database
  engines: ReadonlyMap<string, Engine>
  dataDir: string
}

/** One file is made when it is first asked for (clean-files.ts); what a version consists of is there, and is held against its checksums. */
export class VersionDownloads implements Downloads {
  readonly #deps: Deps
  readonly #clean: CleanFiles

  constructor(deps: Deps) {
    this.#deps = deps
    this.#clean = new CleanFiles(deps)
  }

  async names(version: Version): Promise<string[]> {
    const { engine, files } = await this.#published(version)
    return engine?.exportFile ? [DATABASE_FILE] : files.map(({ name }) => name)
  }

  async file(version: Version, name: string): Promise<Download> {
    const { engine, files } = await this.#published(version, name)
    try {
      if (engine?.exportFile && name === DATABASE_FILE && version.version > 0)
        return { form: engine.name, name, ...(await this.#clean.of(version)) }
      const [file] = engine?.checkFile ? files : []
      if (!engine || !file) throw noFile(version, name, engine)
      const path = new ModelFiles(this.#deps.dataDir, version.model).snapshotFiles(version, [name])[name] ?? ''
      await engine.checkFile?.(path, file)
      return { form: engine.name, path, manifestPath: null, ...file }
    } catch (error) {
      // Whatever was met on the way, where the files were taken away under us: that says why.
      if (error instanceof SnapshotMissing || !(await this.#isKept(version))) throw versionGone(version)
      if (!(error instanceof SnapshotDamaged)) throw error
      throw (await markLost(this.#deps.db, version)) ? new VersionLost(version) : versionGone(version)
    }
  }

  /** Its files, or the one of that name: a version may have many, and each is asked for by itself. */
  async #published({ model, version }: Version, name: string | null = null) {
    const rows = await this.#deps.db.query<{ engine: string; name: string | null; bytes: bigint; sha256: string }>(
      `SELECT m.engine, f.name, f.bytes, f.sha256 FROM goal_model m
         LEFT JOIN content_index f ON f.model = m.id AND f.version = $2 AND f.form = m.engine AND f.role = 'PUBLISHED'
              AND ($3::text IS NULL OR f.name = $3)
        WHERE m.id = $1`,
      [model, version, name],
    )
    const files = rows.flatMap(({ name, bytes, sha256 }) =>
      name === null ? [] : [{ name, bytes: Number(bytes), sha256 }],
    )
    return { engine: this.#deps.engines.get(rows[0]?.engine ?? ''), files }
  }

  async #isKept({ model, version }: Version): Promise<boolean> {
    const kept = await this.#deps.db.query('SELECT FROM model_version WHERE model = $1 AND version = $2 AND kept', [
      model,
      version,
    ])
    return kept.length > 0
  }
}

/** Says what would be right. */
export function noFile({ model, version }: Version, name: string, engine: Pick<Engine, 'name'> | undefined) {
  const advice =
    version === 0
      ? 'it is empty'
      : engine?.name === 'DUCKDB'
        ? `it is one file, ${DATABASE_FILE}`
        : `it is ${MANIFEST_FILE} and the files that this names; each table is there as TABLE.parquet, too`
  return new TeatreeError('NOT_FOUND', `Version ${version} of model ${model} has no ${name}: ${advice}.`)
}
