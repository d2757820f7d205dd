import { buffer } from 'node:stream/consumers'
import { isUnavailable } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import { archiveObject } from './archives.ts'
import { MAX_MANIFEST_BYTES, type Manifest, readManifest } from './manifest.ts'

/** The versions of a model that have a manifest in the store, newest first. */
export async function storedVersions(objects: ObjectStore, model: string): Promise<number[]> {
  const versions = new Set<number>()
  for await (const { key } of objects.list(`${model}/`)) {
    const object = archiveObject(key, model)
    if (object?.is === 'manifest') versions.add(object.version)
  }
  return [...versions].sort((a, b) => b - a)
}

/**
 * The manifest of a version whose objects are all there, as long as they should be; of several, that of the newest
 * manager. Their bytes show when they are fetched.
 * @throws Error that says in a few words what it lacks; TeatreeError UNAVAILABLE where the store is away
 */
export async function completeManifest(objects: ObjectStore, model: string, version: number): Promise<Manifest> {
  let lacking: unknown = new Error('it has no manifest')
  for (const [index, found] of (await manifestsOf(objects, model, version)).entries()) {
    try {
      return await completed(objects, found, { model, version })
    } catch (error) {
      if (isUnavailable(error)) throw error
      if (index === 0) lacking = error
    }
  }
  throw lacking
}

interface Found {
  key: string
  bytes: number
  epoch: number
}

/** Of the newest manager first. */
async function manifestsOf(objects: ObjectStore, model: string, version: number): Promise<Found[]> {
  const found: Found[] = []
  for await (const { key, bytes } of objects.list(`${model}/${version}/`)) {
    const object = archiveObject(key, model)
    if (object?.is === 'manifest') found.push({ key, bytes, epoch: object.epoch })
  }
  return found.sort((a, b) => b.epoch - a.epoch)
}

async function completed(
  objects: ObjectStore,
  found: Found,
  { model, version }: { model: string; version: number },
): Promise<Manifest> {
  if (found.bytes > MAX_MANIFEST_BYTES) throw new Error('its manifest is too large')
  const body = await objects.get(found.key)
  if (!body) throw new Error('it has no manifest')
  const manifest = readManifest(await buffer(body), model, version)
  for (const { table, key, bytes } of manifest.tables)
    if ((await objects.head(key))?.bytes !== bytes)
      throw new Error(`the object of table ${table} is gone or of another length`)
  return manifest
}
