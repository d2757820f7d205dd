import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { SnapshotFiles } from '../../engine/engine.ts'
import { DATABASE_FILE, MANIFEST_FILE } from '../content.ts'
import {
  MAX_DETAILS_BYTES,
  MAX_MANIFEST_BYTES,
  modelId,
  type PulledFile,
  type PulledManifest,
  type PulledVersion,
  pulledFiles,
  pulledManifest,
  pulledVersion,
} from './pulled-version.ts'

/** A version that is there, whole. */
export interface Pulled extends PulledVersion {
  /** Of its one file, or of the folder of its files. */
  path: string
  manifestPath: string
}

/**
 * Pulled versions on this machine. A version is there from the moment that its JSON has its name, which is last:
 *
 *   DIR/MODEL/VERSION.duckdb         the file, which opens in any DuckDB of the same or a newer release
 *   DIR/MODEL/VERSION.blocks.json    its block manifest
 *   DIR/MODEL/VERSION/               or, of a model on Arrow, its files, shared with other versions that have them (links),
 *   DIR/MODEL/VERSION/manifest.json    and which they are
 *   DIR/MODEL/VERSION.json           what these do not say themselves
 *   DIR/MODEL/VERSION.PID.part(s)    being fetched by that process, or left by it for the next pull to go on with
 *   DIR/MODEL/VERSION.replaced       files that are left to who still reads them, until the next pull
 */
export class PulledFolder {
  readonly #dir: string
  /** What was read of a file that has not changed since. */
  readonly #read = new Map<string, { state: string; pulled: Pulled | null }>()

  constructor(dir: string) {
    this.#dir = dir
  }

  modelDir(model: string): string {
    return join(this.#dir, model)
  }

  /** The models of which something may be there. Rejects where the folder cannot be read. */
  async models(): Promise<string[]> {
    const entries = await readdir(this.#dir, { withFileTypes: true })
    return entries.flatMap(entry => (entry.isDirectory() && modelId.safeParse(entry.name).success ? [entry.name] : []))
  }

  /** The versions of a model that are there, the newest first. What is not as it should be is left out. */
  async versions(model: string): Promise<Pulled[]> {
    const names = await readdir(this.modelDir(model)).catch(() => [])
    const found = await Promise.all(
      names.filter(name => /^\d+\.json$/.test(name)).map(name => this.#version(model, name)),
    )
    return found.filter(version => version !== null).sort((a, b) => b.version - a.version)
  }

  async #version(model: string, name: string): Promise<Pulled | null> {
    const path = join(this.modelDir(model), name)
    const found = await stat(path, { bigint: true }).catch(() => null)
    if (!found || found.size > MAX_DETAILS_BYTES) return null
    const state = `${found.ino} ${found.size} ${found.mtimeNs}`
    const known = this.#read.get(path)
    if (known?.state === state) return known.pulled
    const pulled = await this.#parse(model, name)
    this.#read.set(path, { state, pulled })
    return pulled
  }

  async #parse(model: string, name: string): Promise<Pulled | null> {
    const details = pulledVersion.safeParse(await readJson(join(this.modelDir(model), name), MAX_DETAILS_BYTES)).data
    if (!details || details.model.id !== model || `${details.version}.json` !== name) return null
    return { ...details, ...this.paths(details) }
  }

  paths({ model, version }: Pick<PulledVersion, 'model' | 'version'>) {
    const base = join(this.modelDir(model.id), String(version))
    return model.engine === 'ARROW'
      ? { path: base, manifestPath: join(base, MANIFEST_FILE) }
      : { path: `${base}.duckdb`, manifestPath: `${base}.blocks.json` }
  }

  /** The paths of a version's files by their names, as its engine opens them. */
  async filesOf({ model, path }: Pulled): Promise<SnapshotFiles> {
    if (model.engine === 'DUCKDB') return { [DATABASE_FILE]: path }
    return Object.fromEntries((await readdir(path).catch(() => [])).map(name => [name, join(path, name)]))
  }

  /** Of one file; null where it is not there, or not as it should be. */
  async manifest({ manifestPath }: Pick<Pulled, 'manifestPath'>): Promise<PulledManifest | null> {
    return pulledManifest.safeParse(await readJson(manifestPath, MAX_MANIFEST_BYTES)).data ?? null
  }

  /** Of a folder, what its manifest says; none where that is not there, or not as it should be. */
  async parts({ model, manifestPath }: Pulled): Promise<readonly PulledFile[]> {
    if (model.engine !== 'ARROW') return []
    return pulledFiles.safeParse(await readJson(manifestPath, MAX_MANIFEST_BYTES)).data?.files ?? []
  }

  /** Gives a file that is whole its name, and with its JSON makes it a version that is there. */
  async add(part: string, details: PulledVersion, manifest: PulledManifest): Promise<void> {
    const { path, manifestPath } = this.paths(details)
    await writeWhole(manifestPath, JSON.stringify(manifest))
    await rename(part, path)
    await this.note(details)
  }

  /** The same of a folder whose files are whole, and synced. */
  async addFolder(whole: string, details: PulledVersion): Promise<void> {
    const { path } = this.paths(details)
    const before = `${path}.${process.pid}.tmp`
    // Without its JSON before without its files: wherever this is broken off, what is there is whole.
    await rename(join(this.modelDir(details.model.id), `${details.version}.json`), replacedMark(path)).catch(() => {})
    await rename(path, before).catch(() => {})
    await rename(whole, path)
    await rm(replacedMark(path), { force: true })
    await this.note(details)
    await rm(before, { recursive: true, force: true })
  }

  /** Writes the JSON of a version whose file is there. */
  async note(details: PulledVersion): Promise<void> {
    const dir = this.modelDir(details.model.id)
    await writeWhole(join(dir, `${details.version}.json`), `${JSON.stringify(details, null, 2)}\n`)
    await using folder = await open(dir)
    await folder.sync()
  }

  /** Takes a version away. Who has its file open keeps it; files of a folder are opened by each read, and stay for a while. */
  async remove({ model, version, path, manifestPath }: Pulled): Promise<void> {
    const json = join(this.modelDir(model.id), `${version}.json`)
    if (model.engine === 'ARROW') return rename(json, replacedMark(path))
    await rm(json, { force: true })
    for (const each of [path, manifestPath]) await rm(each, { force: true })
  }

  /** Removes what earlier pulls have left to its readers. */
  async removeReplaced(model: string): Promise<void> {
    const dir = this.modelDir(model)
    for (const name of await readdir(dir).catch(() => [])) {
      const [, version] = /^(\d+)\.replaced$/.exec(name) ?? []
      if (version === undefined) continue
      await rm(join(dir, version), { recursive: true, force: true })
      await rm(join(dir, name), { force: true })
    }
  }
}

const replacedMark = (path: string): string => `${path}.replaced`

async function readJson(path: string, most: number): Promise<unknown> {
  try {
    if ((await stat(path)).size > most) return null
    return JSON.parse(await readFile(path, 'utf8'))
  } catch {
    return null
  }
}

async function writeWhole(path: string, text: string): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  {
    await using file = await open(temporary, 'w')
    await file.writeFile(text)
    await file.sync()
  }
  await rename(temporary, path)
}
