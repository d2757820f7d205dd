import { hash } from 'node:crypto'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import type { KindShape } from '../../kinds/kind.ts'
import { errno } from '../../platform/errno.ts'
import { syncPath } from '../../platform/sync-path.ts'
import type { SnapshotFile, SnapshotFiles } from '../engine.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'

/** The file by which a version is opened; a version on Arrow has it whatever its tables hold. */
export const MANIFEST = 'manifest.json'

/** Whether it is a version on Arrow. */
export const isOnArrow = ({ files }: { files: SnapshotFiles }): boolean => MANIFEST in files

/** One Arrow IPC file of a table: uncompressed, and never written to again. */
export interface TableFile {
  name: string
  rows: number
  bytes: number
  sha256: string
  /** Columns that the table has got since the file was written: null in all of its rows. */
  lacks?: readonly string[] | undefined
  /** The smallest and largest value of key columns that hold no nulls, in canonical form. */
  ranges?: Readonly<Record<string, readonly [RangeValue, RangeValue]>> | undefined
}
export type RangeValue = string | number | boolean

/** What a version consists of. The rows of a table are those of its files, in their order. */
export interface Manifest {
  version: number
  lastSeq: bigint
  shape: KindShape
  tables: Readonly<Record<string, readonly TableFile[]>>
}

/** The files of a version that has been opened: what it consists of, and where that is. */
export interface ArrowVersion {
  manifest: Manifest
  files: SnapshotFiles
}

const rangeValue = z.union([z.string(), z.number(), z.boolean()])
const tableFile = z.strictObject({
  name: z.string(),
  rows: z.int(),
  bytes: z.int(),
  sha256: z.string(),
  lacks: z.array(z.string()).optional(),
  ranges: z.record(z.string(), z.tuple([rangeValue, rangeValue])).optional(),
})
const manifestShape = z.strictObject({
  version: z.int(),
  lastSeq: z.string().transform(BigInt),
  shape: z.record(z.string(), z.object({ columns: z.record(z.string(), z.string()), key: z.array(z.string()) })),
  tables: z.record(z.string(), z.array(tableFile)),
})
const written = z.strictObject({ sha256: z.string(), manifest: z.unknown() })

/** Writes the file by which a version is opened, and brings it and the names of all to disk. It says its own checksum. */
export async function writeManifest(dir: string, manifest: Manifest): Promise<SnapshotFile> {
  const content = JSON.stringify({ ...manifest, lastSeq: String(manifest.lastSeq) })
  const text = `{"sha256":"${hash('sha256', content, 'hex')}","manifest":${content}}\n`
  await writeFile(join(dir, MANIFEST), text, { flush: true })
  await syncPath(dir)
  return { name: MANIFEST, bytes: Buffer.byteLength(text), sha256: hash('sha256', text, 'hex') }
}

/**
 * Reads what a version consists of; its tables are not read.
 * @throws SnapshotMissing where a file is not there (any more)
 * @throws SnapshotDamaged where the manifest is not what was written, or a table's file is of another length
 */
export async function openVersion(files: SnapshotFiles): Promise<ArrowVersion> {
  const path = files[MANIFEST]
  if (path === undefined) throw new Error(`a version on Arrow has a file ${MANIFEST}`)
  const manifest = parseManifest(await there(MANIFEST, () => readFile(path, 'utf8')))
  for (const { name, bytes } of Object.values(manifest.tables).flat()) {
    const file = files[name]
    if (file === undefined)
      throw new SnapshotDamaged(`the version's manifest names ${name}, which is none of its files`)
    const { size } = await there(name, () => stat(file))
    if (size !== bytes) throw new SnapshotDamaged(`the version's file ${name} is of another length than was written`)
  }
  return { manifest, files }
}

function parseManifest(text: string): Manifest {
  try {
    const { sha256, manifest } = written.parse(JSON.parse(text))
    if (hash('sha256', JSON.stringify(manifest), 'hex') !== sha256) throw new Error('its checksum is another')
    return manifestShape.parse(manifest)
  } catch (cause) {
    throw new SnapshotDamaged('the manifest of a version is damaged', { cause })
  }
}

async function there<T>(name: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (cause) {
    if (errno(cause) === 'ENOENT') throw new SnapshotMissing(`the version's file ${name} is gone`, { cause })
    throw cause
  }
}
