import { open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import {
  MAX_DETAILS_BYTES,
  MAX_MANIFEST_BYTES,
  modelId,
  type PulledManifest,
  type PulledVersion,
  pulledManifest,
  pulledVersion,
} from './pulled-version.ts'

/** A version that is there, whole. */
export interface Pulled extends PulledVersion {
  path: string
  manifestPath: string
}

/**
 * Pulled versions on this machine. A version is there from the moment that its JSON has its name, which is last:
 *
 *   DIR/MODEL/VERSION.duckdb         the file, which opens in any DuckDB of the same or a newer release
 *   DIR/MODEL/VERSION.blocks.json    its block manifest
 *   DIR/MODEL/VERSION.json           what the file does not say itself
 *   DIR/MODEL/VERSION.PID.part       being fetched by that process, or left by it for the next pull to go on with
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

  paths({ model, version }: { model: { id: string }; version: number }) {
    const base = join(this.modelDir(model.id), String(version))
    return { path: `${base}.duckdb`, manifestPath: `${base}.blocks.json` }
  }

  /** Null where it is not there, or not as it should be. */
  async manifest({ manifestPath }: Pick<Pulled, 'manifestPath'>): Promise<PulledManifest | null> {
    return pulledManifest.safeParse(await readJson(manifestPath, MAX_MANIFEST_BYTES)).data ?? null
  }

  /** Gives a file that is whole its name, and with its JSON makes it a version that is there. */
  async add(part: string, details: PulledVersion, manifest: PulledManifest): Promise<void> {
    const { path, manifestPath } = this.paths(details)
    await writeWhole(manifestPath, JSON.stringify(manifest))
    await rename(part, path)
    await this.note(details)
  }

  /** Writes the JSON of a version whose file is there. */
  async note(details: PulledVersion): Promise<void> {
    const dir = this.modelDir(details.model.id)
    await writeWhole(join(dir, `${details.version}.json`), `${JSON.stringify(details, null, 2)}\n`)
    await using folder = await open(dir)
    await folder.sync()
  }

  /** Takes a version away; who has its file open keeps it. */
  async remove({ model, version, path, manifestPath }: Pulled): Promise<void> {
    await rm(join(this.modelDir(model.id), `${version}.json`), { force: true })
    for (const each of [path, manifestPath]) await rm(each, { force: true })
  }
}

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
