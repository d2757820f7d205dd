import { buffer } from 'node:stream/consumers'
import { expect } from 'vitest'
import type { Manifest } from '../../src/jobs/manifest.ts'
import { completeManifest } from '../../src/jobs/stored-archives.ts'
import type { ObjectStore } from '../../src/platform/objects/index.ts'
import type { Database } from '../../src/platform/postgres.ts'
import { sha256 as digest, keysOf } from './object-stores.ts'

interface Of {
  db: Database
  objects: ObjectStore
}

/** What the archive of a version says of itself to one who has the store alone; null where there is none. */
export async function manifestOf({ objects }: Pick<Of, 'objects'>, model: string, version: number) {
  return completeManifest(objects, model, version).catch((): Manifest | null => null)
}

/** The keys of a model's objects, with what is different each time they are made left out: `sales/1/seen.parquet`. */
export const namesOf = async ({ objects }: Pick<Of, 'objects'>, model: string): Promise<string[]> =>
  (await keysOf(objects.list(`${model}/`))).map(nameOf)

export const nameOf = (key: string): string =>
  key.replace(/-\d+-[0-9a-f]{16}\.parquet$/, '.parquet').replace(/manifest-\d+\.json$/, 'manifest.json')

/** Every archive that PostgreSQL knows is whole in the store, and what it says there is the same. */
export async function expectWhole({ db, objects }: Of, model: string): Promise<number[]> {
  const archives = await db.query<{ version: number; tables: { key: string; bytes: number; sha256: string }[] }>(
    `SELECT version, tables FROM archive WHERE model = $1 AND state = 'THERE' ORDER BY version`,
    [model],
  )
  for (const { version, tables } of archives) {
    expect((await manifestOf({ objects }, model, version))?.tables).toEqual(tables)
    for (const { key, bytes, sha256 } of tables) {
      const body = await objects.get(key)
      const kept = body ? await buffer(body) : Buffer.of()
      expect([kept.length, digest(kept)], key).toEqual([bytes, sha256])
    }
  }
  return archives.map(({ version }) => version)
}
