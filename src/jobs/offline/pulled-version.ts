import { z } from 'zod'
import { blockCount } from '../../engine/blocks.ts'
import { coerce } from '../../kinds/values.ts'
import { isPartName, MANIFEST_FILE } from '../content.ts'

/** No model's file is larger; what a server says beyond it is not believed. */
const MAX_BYTES = 2 ** 40
const MAX_ITEMS = 10_000
/** DuckDB's own; a file of another is of another release. */
const BLOCK_BYTES = 256 * 1024

export const modelId = z.string().regex(/^[a-z][a-z0-9-]{0,62}$/)
const text = z.string().max(1000)
const count = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)
const version = z
  .number()
  .int()
  .min(1)
  .max(2 ** 31 - 1)
const bigint = z.string().regex(/^\d{1,19}$/)
/** In canonical form, however many places it was given with. */
const instant = z
  .string()
  .max(40)
  .transform((value, context) => {
    try {
      return String(coerce('TIMESTAMP', value))
    } catch {
      context.addIssue('an instant, 2024-05-17T09:00:00.000000Z')
      return z.NEVER
    }
  })
const sha256 = z.string().regex(/^[0-9a-f]{64}$/)
const bytes = z.number().int().min(1).max(MAX_BYTES)

/** What the files of a pulled version do not say themselves; it lies beside them as JSON. */
export const pulledVersion = z.object({
  format: z.literal(1),
  model: z.object({
    id: modelId,
    name: text,
    kind: text,
    engine: z.enum(['DUCKDB', 'ARROW']),
    size: z.enum(['SMALL', 'MEDIUM', 'LARGE', 'XLARGE']),
    createdAt: instant,
    reads: z.array(modelId).max(MAX_ITEMS),
  }),
  version,
  lastSeq: bigint,
  /** Where somebody who has read it would subscribe from. */
  completions: bigint,
  publishedAt: instant,
  labels: z.array(text).max(MAX_ITEMS),
  tables: z.array(z.object({ name: text, rows: count })).max(MAX_ITEMS),
  /** As the content index of the server has it: of several files, the one that says which. */
  content: z.object({ id: z.uuid(), bytes, sha256, createdAt: instant }),
  /** Whether it was asked for by its number, and so stays when a newer one is pulled. */
  byNumber: z.boolean(),
})
export type PulledVersion = z.infer<typeof pulledVersion>

/** A block manifest, as the server gives it and as it lies beside the file. */
export const pulledManifest = z
  .object({
    version,
    bytes,
    blockSize: z.literal(BLOCK_BYTES),
    blocks: z.array(sha256),
  })
  .refine(({ bytes, blockSize, blocks }) => blocks.length === blockCount(bytes, blockSize), {
    error: 'as many blocks as the bytes have',
  })
export type PulledManifest = z.infer<typeof pulledManifest>

/** What a version of several files says that these are; all but the names, sizes and checksums is the engine's to read. */
export const pulledFiles = z
  .object({
    manifest: z.object({
      version,
      tables: z.record(text, z.array(z.object({ name: z.string().refine(isPartName), bytes, sha256 })).max(MAX_ITEMS)),
    }),
  })
  .transform(({ manifest: { version, tables } }) => ({ version, files: Object.values(tables).flat() }))
  .refine(
    ({ files }) =>
      new Set(files.map(({ name }) => name)).size === files.length &&
      files.every(({ name }) => name !== MANIFEST_FILE) &&
      files.reduce((sum, { bytes }) => sum + bytes, 0) <= MAX_BYTES,
    { error: 'files of different names, within bounds' },
  )
export type PulledFiles = z.infer<typeof pulledFiles>
export type PulledFile = PulledFiles['files'][number]

/** A manifest of the largest version fits in. */
export const MAX_MANIFEST_BYTES = 300 * 2 ** 20
export const MAX_DETAILS_BYTES = 16 * 2 ** 20
