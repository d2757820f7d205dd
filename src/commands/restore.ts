import { access, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { duckdbEngine } from '../engine/duckdb/index.ts'
import type { Engine } from '../engine/engine.ts'
import { DamagedArchive, fetchArchive } from '../jobs/fetch-archive.ts'
import type { Manifest } from '../jobs/manifest.ts'
import { completeManifest, storedVersions } from '../jobs/stored-archives.ts'
import { isUnavailable, TeatreeError, UsageError } from '../platform/errors.ts'
import { createLog } from '../platform/log.ts'
import { type ObjectStore, openObjectStore } from '../platform/objects/index.ts'
import type { Settings } from '../platform/settings.ts'
import { type Progress, showProgress } from './progress.ts'
import { abortOn } from './stop.ts'

/** Folders of restores that were killed are removed after this. */
const STRAY_MS = 24 * 60 * 60 * 1000
const STRAY = '.teatree-restore-'

/**
 * `teatree restore MODEL[@VERSION] --to DIR`: the model's file from the object store alone. The manifest says what the tables
 * are, so the kind need not be known here. DIR/model.duckdb is there whole or not at all; an older one is replaced.
 */
export async function restore(settings: Settings, which: string, to: string): Promise<void> {
  const { model, version } = asked(which)
  const signal = abortOn(['SIGTERM', 'SIGINT'])
  await using stack = new AsyncDisposableStack()
  const objects = stack.adopt(await openObjectStore(settings.storeUrl), store => store.close())
  const engine = duckdbEngine({ log: createLog({ name: 'restore' }) })
  const dir = await targetDir(to)
  using progress = showProgress(`Restoring ${model}`)
  const { manifest, passedOver } = await chosen(objects, model, version)
  const scratch = stack.adopt(await mkdtemp(join(dir, STRAY)), path => rm(path, { recursive: true, force: true }))
  try {
    const files = await make({ objects, engine, manifest, scratch, signal, progress })
    // A file without the WAL that belongs to it, or with another's, would not be what was archived.
    for (const name of files) await rename(join(scratch, 'made', name), join(dir, name))
  } catch (error) {
    if (signal.aborted) throw new UsageError('stopped')
    if (error instanceof DamagedArchive) throw await damaged(objects, manifest, error)
    if (isFull(error)) throw new UsageError(`the disk of ${dir} is full; make room or choose another folder`)
    throw error
  }
  const rows = manifest.tables.reduce((sum, table) => sum + table.rows, 0)
  const newer = passedOver.length > 0 ? ` (passed over, for they are not complete: ${passedOver.join('; ')})` : ''
  progress.done(`version ${manifest.version}, ${rows} rows, in ${join(dir, 'model.duckdb')}${newer}`)
}

/** Of DuckDB's own writing; what is fetched says so itself. */
const isFull = (error: unknown) => ['ENOSPC', 'EDQUOT'].includes(String((error as { code?: unknown }).code))

function asked(which: string): { model: string; version: number | null } {
  const [, model, version] = /^([a-z][a-z0-9-]{0,62})(?:@([1-9]\d{0,9}))?$/.exec(which) ?? []
  if (model === undefined) throw new UsageError(`restore takes MODEL or MODEL@VERSION, not ${which}`)
  return { model, version: version === undefined ? null : Number(version) }
}

async function targetDir(to: string): Promise<string> {
  const dir = resolve(to)
  try {
    await mkdir(dir, { recursive: true })
    for (const name of await readdir(dir)) {
      if (!name.startsWith(STRAY)) continue
      const { mtimeMs } = await stat(join(dir, name))
      if (Date.now() - mtimeMs > STRAY_MS) await rm(join(dir, name), { recursive: true, force: true })
    }
  } catch (error) {
    throw new UsageError(`${dir} is no folder that can be written to (${(error as NodeJS.ErrnoException).code})`)
  }
  const wal = join(dir, 'model.duckdb.wal')
  if (
    await access(wal).then(
      () => true,
      () => false,
    )
  )
    throw new UsageError(
      `${wal} belongs to another file, and would be read with this one: remove it or choose another folder`,
    )
  return dir
}

/** The version that is asked for, or the newest that is complete. */
async function chosen(
  objects: ObjectStore,
  model: string,
  version: number | null,
): Promise<{ manifest: Manifest; passedOver: string[] }> {
  const versions = await storedVersions(objects, model)
  if (versions.length === 0)
    throw new UsageError(`the store has no archive of a model ${model}; look at TEATREE_STORE_URL and the model's id`)
  if (version !== null && !versions.includes(version))
    throw new UsageError(
      `the store has no archive of ${model}@${version}; there are ${versions.slice(0, 20).join(', ')}`,
    )
  const passedOver: string[] = []
  for (const candidate of version === null ? versions : [version]) {
    try {
      return { manifest: await completeManifest(objects, model, candidate), passedOver }
    } catch (error) {
      if (isUnavailable(error)) throw error
      passedOver.push(`${candidate}, ${(error as Error).message}`)
    }
  }
  const others = versions.filter(other => other !== version)
  const advice = version !== null && others.length > 0 ? `; try ${model}@${others[0]}` : ''
  throw new UsageError(`no archive of ${which(model, version)} is complete: ${passedOver.join('; ')}${advice}`)
}

const which = (model: string, version: number | null) => (version === null ? model : `${model}@${version}`)

async function make(of: {
  objects: ObjectStore
  engine: Engine
  manifest: Manifest
  scratch: string
  signal: AbortSignal
  progress: Progress
}): Promise<string[]> {
  const { objects, engine, manifest, scratch, signal, progress } = of
  const { model, version, shape } = manifest
  const total = manifest.tables.reduce((sum, { bytes }) => sum + bytes, 0)
  let fetched = 0
  const tables = await fetchArchive(objects, manifest, scratch, {
    signal,
    onTable({ table, bytes }) {
      progress.at(`fetch ${table}`, total === 0 ? null : (fetched / total) * 0.5)
      fetched += bytes
    },
  })
  const names = Object.keys(shape)
  try {
    const made = await engine.restore(
      { version, lastSeq: BigInt(manifest.lastSeq), shape, tables },
      join(scratch, 'made'),
      {
        signal,
        onTable: table => progress.at(`load ${table}`, 0.5 + names.indexOf(table) / names.length / 2),
      },
    )
    return made.files.map(({ name }) => name)
  } catch (error) {
    if (error instanceof TeatreeError && error.code === 'BAD_FILE') throw new DamagedArchive({ model, version }, error)
    throw error
  }
}

/** Not an older one without a word: that is for whoever asked to decide. */
async function damaged(objects: ObjectStore, { model, version }: Manifest, { message }: Error): Promise<UsageError> {
  const older = (await storedVersions(objects, model)).find(other => other < version)
  const advice = older === undefined ? 'there is no older one' : `restore an older one with ${model}@${older}`
  return new UsageError(`${message} Nothing was written; ${advice}`)
}
