import { buffer } from 'node:stream/consumers'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import { MAX_MANIFEST_BYTES, type Manifest, manifestKey, readManifest, versionOfKey } from './manifest.ts'

/** The versions of a model that have a manifest in the store, newest first. */
export async function storedVersions(objects: ObjectStore, model: string): Promise<number[]> {
  const versions: number[] = []
  for await (const { key } of objects.list(`${model}/`)) {
    const version = versionOfKey(key, model)
    if (version !== null && key === manifestKey(model, version)) versions.push(version)
  }
  return versions.sort((a, b) => b - a)
}

/**
 * The manifest of a version whose objects are all there, as long as they should be. Their bytes show when they are fetched.
 * @throws Error that says in a few words what it lacks; TeatreeError UNAVAILABLE where the store is away
 */
export async function completeManifest(objects: ObjectStore, model: string, version: number): Promise<Manifest> {
  const key = manifestKey(model, version)
  const found = await objects.head(key)
  if (!found) throw new Error('it has no manifest')
  if (found.bytes > MAX_MANIFEST_BYTES) throw new Error('its manifest is too large')
  const body = await objects.get(key)
  if (!body) throw new Error('it has no manifest')
  const manifest = readManifest(await buffer(body), model, version)
  for (const { table, key, bytes } of manifest.tables)
    if ((await objects.head(key))?.bytes !== bytes)
      throw new Error(`the object of table ${table} is gone or of another length`)
  return manifest
}

/** Whether the store itself failed, and not what lies in it. */
export const isAway = (error: unknown): boolean => error instanceof TeatreeError && error.code === 'UNAVAILABLE'
