import type { KindShape } from '../kinds/kind.ts'
import type { Queryable } from '../platform/postgres.ts'

/** A table of an archive: the object that holds its Parquet, which may be that of an earlier archive. */
export interface ArchivedTable {
  table: string
  key: string
  bytes: number
  rows: number
  sha256: string
}

/** A version that is whole in the object store. */
export interface Archive {
  model: string
  version: number
  /** The kind's tables as they were archived. */
  shape: KindShape
  tables: readonly ArchivedTable[]
}

/** The archives of a model up to a version, newest first; those that are damaged or being removed are not among them. */
export function archivesUpTo(db: Queryable, model: string, version: number): Promise<Archive[]> {
  return db.query<Archive>(
    `SELECT model, version, shape, tables FROM archive
      WHERE model = $1 AND version <= $2 AND state = 'THERE' ORDER BY version DESC`,
    [model, version],
  )
}

/*
 * Where a version's archive is: MODEL/VERSION/TABLE-EPOCH-DIGEST.parquet, and MODEL/VERSION/manifest-EPOCH.json, which is
 * written last. The epoch is that of the manager which puts them. So whatever one puts or removes late, that was frozen
 * and has a successor by now, is none of the successor's; and a version that is archived anew, with other bytes, writes
 * over nothing to which a later archive refers.
 */

const inFolder = (model: string, version: number, name: string): string => `${model}/${version}/${name}`

export const tableKey = (
  model: string,
  version: number,
  of: { table: string; epoch: number; sha256: string },
): string => inFolder(model, version, `${of.table}-${of.epoch}-${of.sha256.slice(0, 16)}.parquet`)

export const manifestKey = (model: string, version: number, epoch: number): string =>
  inFolder(model, version, `manifest-${epoch}.json`)

/** What a key is in a model's archives; null where it is no object of theirs. */
export type ArchiveObject = { version: number } & ({ is: 'table' } | { is: 'manifest'; epoch: number })

export function archiveObject(key: string, model: string): ArchiveObject | null {
  const [, id, folder, name = ''] = /^([a-z][a-z0-9-]*)\/([1-9]\d{0,9})\/([^/]+)$/.exec(key) ?? []
  if (id !== model || folder === undefined) return null
  const version = Number(folder)
  if (name.endsWith('.parquet')) return { is: 'table', version }
  // Earlier releases had one for each version, whoever wrote it.
  const [manifest, epoch] = /^manifest(?:-(\d{1,9}))?\.json$/.exec(name) ?? []
  return manifest === undefined ? null : { is: 'manifest', version, epoch: Number(epoch ?? 0) }
}
