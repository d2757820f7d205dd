import type { ObjectStore } from '../platform/objects/index.ts'
import type { Queryable } from '../platform/postgres.ts'
import { LINK_SECONDS } from './links.ts'
import { type Content, type ContentForm, columns } from './records.ts'

export interface ContentFilter {
  model: string
  version?: number | null
  table?: string | null
  form?: ContentForm | null
}
/** Newest version first, then form and name. */
export interface ContentPosition {
  version: number
  form: string
  name: string
}

/** The content index: every published file, what it is, and where it can be fetched. */
export interface ContentIndex {
  /** What was published for a model, newest first, after `after` in that order. */
  list(where: ContentFilter, page: { limit: number; after?: ContentPosition }): Promise<Content[]>
  /** Where a STORED file can be fetched from the store itself, for a while; null where the store has no such thing. */
  storeUrl(file: Content): Promise<string | null>
}

/** The version as one file, as /content calls it. */
export const DATABASE_FILE = 'model.duckdb'
/** Of a version that is several files, the one that says which. */
export const MANIFEST_FILE = 'manifest.json'
/** Whether it is called as such files are. */
export const isPartName = (name: string): boolean => name === MANIFEST_FILE || /^\w{1,200}\.\d{1,15}\.arrow$/.test(name)

/** The media type of a file as which versions leave the house. */
export const mediaTypeOf = (name: string): string =>
  name === DATABASE_FILE
    ? 'application/vnd.duckdb'
    : name === MANIFEST_FILE
      ? 'application/json; charset=utf-8'
      : 'application/vnd.apache.arrow.file'

/** What the index calls a version's file in the object store, beside that of the same name on disk. */
export const storedName = (name: string): string => `store/${name}`
/**
 * Where a pinned version's file is in the object store, and the blocks of one that has some. Each row of the index has names
 * of its own: what one puts or removes late, who was frozen over it, is not what another has put there since.
 */
export const storedKeys = ({ model, version, form, id }: StoredFile): { file: string; blocks?: string } =>
  form === 'DUCKDB'
    ? { file: `${model}/${version}/model-${id}.duckdb`, blocks: `${model}/${version}/blocks-${id}.json` }
    : { file: `${model}/${version}/part-${id}.${form.toLowerCase()}` }

/** Of an object of a pinned version of the model, that version and the id of the row by which it is known; null for any other object. */
export function storedObject(key: string, model: string): { id: string; version: number } | null {
  const [, of, version, id] =
    /^([^/]+)\/([1-9]\d*)\/(?:model|blocks|part)-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.\w+$/.exec(key) ?? []
  return of === model && id !== undefined ? { id, version: Number(version) } : null
}

/** What is, or is to be, in the store. */
export type StoredFile = Pick<Content, 'id' | 'model' | 'version' | 'form'>

export const contentIndex = ({ db, objects }: { db: Queryable; objects: ObjectStore }): ContentIndex => ({
  list: (where, page) => listContent(db, where, page),
  storeUrl: async file => (file.role === 'STORED' ? objects.presign(storedKeys(file).file, LINK_SECONDS) : null),
})

/**
 * Takes what readers open of these versions out of the index, and the one file that was made of it. What is in the store
 * stays: there the row goes last (pinned-files.ts).
 */
export async function forgetFiles(tx: Queryable, model: string, versions: readonly number[]): Promise<void> {
  await tx.query(
    `DELETE FROM content_index
      WHERE model = $1 AND version = ANY($2) AND form IN ('DUCKDB', 'ARROW') AND role IN ('PUBLISHED', 'CLEAN')`,
    [model, versions],
  )
}

/** See ContentIndex.list. */
export function listContent(
  db: Queryable,
  where: ContentFilter,
  page: { limit: number; after?: ContentPosition },
): Promise<Content[]> {
  return db.query<Content>(
    `SELECT ${columns.content('c', 'v')}
       FROM content_index c JOIN model_version v ON v.model = c.model AND v.version = c.version
      WHERE c.model = $1 AND ($2::integer IS NULL OR c.version = $2) AND ($3::text IS NULL OR c.table_name = $3)
        AND ($4::text IS NULL OR c.form = $4)
        AND c.role NOT IN ('COMING', 'GOING')
        AND ($5::integer IS NULL OR c.version < $5 OR (c.version = $5 AND (c.form, c.name) > ($6, $7)))
      ORDER BY c.version DESC, c.form, c.name LIMIT $8`,
    [
      where.model,
      where.version ?? null,
      where.table ?? null,
      where.form ?? null,
      page.after?.version ?? null,
      page.after?.form ?? null,
      page.after?.name ?? null,
      page.limit,
    ],
  )
}
