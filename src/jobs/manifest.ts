import { z } from 'zod'
import type { KindShape } from '../kinds/kind.ts'
import { type ArchivedTable, archiveObject } from './archives.ts'

/**
 * What an archive says of itself, in its folder of the store: all that is needed to make the version again where there
 * is no database any more. It is written last, so where it is, the rest is.
 */
export interface Manifest {
  format: 2
  model: string
  kind: string
  engine: string
  version: number
  /** Of the manager that published the version. */
  epoch: number
  lastSeq: string
  publishedAt: string
  shape: KindShape
  tables: readonly ArchivedTable[]
}

export const MAX_MANIFEST_BYTES = 16 << 20

const whole = z.number().int().min(0)
const manifest = z.object({
  format: z.literal(2),
  model: z.string(),
  kind: z.string(),
  engine: z.string(),
  version: whole.min(1),
  epoch: whole,
  lastSeq: z.string().regex(/^\d{1,19}$/),
  publishedAt: z.string(),
  shape: z.record(
    z.string().min(1),
    z.object({ columns: z.record(z.string().min(1), z.string()), key: z.array(z.string()) }),
  ),
  tables: z.array(
    z.object({
      table: z.string().min(1),
      key: z.string(),
      bytes: whole,
      rows: whole,
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})

export const manifestText = (of: Manifest): Uint8Array => Buffer.from(`${JSON.stringify(of, null, 2)}\n`)

/**
 * Reads the manifest of a model's version. Its objects are the model's own, one for each table of the shape.
 * @throws Error that says in a few words what is wrong with it
 */
export function readManifest(bytes: Uint8Array, model: string, version: number): Manifest {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString()
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    throw new Error('its manifest is no JSON')
  }
  if ((value as { format?: unknown } | null)?.format === 1)
    throw new Error('it was made by an earlier release, whose manifests do not say what the tables are')
  const read = manifest.safeParse(value)
  if (!read.success) throw new Error(`its manifest is wrong at ${read.error.issues[0]?.path.join('.') || 'its root'}`)
  const { data } = read
  if (data.model !== model || data.version !== version) throw new Error('its manifest is of another version')
  const tables = data.tables.map(({ table }) => table)
  const isWhole = new Set(tables).size === tables.length && Object.keys(data.shape).every(name => tables.includes(name))
  if (!isWhole) throw new Error('its manifest does not name each table once')
  if (!data.tables.every(({ key }) => archiveObject(key, model)?.is === 'table'))
    throw new Error('its manifest names an object of something else')
  return data
}
