import { join } from 'node:path'
import type { ArchivedVersion } from '../engine/engine.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { ObjectStore } from '../platform/objects/index.ts'
import type { Archive, ArchivedTable } from './archives.ts'

/** An object of an archive is gone or not what it was. */
export class DamagedArchive extends TeatreeError {
  constructor({ model, version }: Pick<Archive, 'model' | 'version'>, cause: Error, table?: string) {
    const what = table === undefined ? cause.message : `the object of table ${table} is gone or not what it was`
    super('INTERNAL', `The archive of version ${version} of model ${model} is damaged: ${what}.`, { cause })
  }
}

/** Fetches the tables of an archive into the folder, each verified by length and checksum. @throws DamagedArchive */
export async function fetchArchive(
  objects: ObjectStore,
  archive: Archive,
  folder: string,
  { signal, onTable }: { signal?: AbortSignal; onTable?: (table: ArchivedTable) => void } = {},
): Promise<ArchivedVersion['tables']> {
  const fetched: Record<string, { path: string; rows: number }> = {}
  for (const [index, table] of archive.tables.entries()) {
    onTable?.(table)
    // Not by its name, which comes from where others may write.
    const path = join(folder, `${index}.parquet`)
    try {
      const { bytes, sha256 } = table
      await objects.getFile(table.key, path, { expect: { bytes, sha256 }, ...(signal ? { signal } : {}) })
    } catch (error) {
      if (error instanceof TeatreeError && DAMAGE.has(error.code)) throw new DamagedArchive(archive, error, table.table)
      throw error
    }
    fetched[table.table] = { path, rows: table.rows }
  }
  return fetched
}

const DAMAGE = new Set(['NOT_FOUND', 'UPLOAD_INCOMPLETE', 'CHECKSUM_MISMATCH'])
