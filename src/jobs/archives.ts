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

/** Where a version's archive is; whatever else is there is of no archive. */
export const archiveKey = (model: string, version: number, name: string): string => `${model}/${version}/${name}`
export const MANIFEST = 'manifest.json'
