import type { Database } from '../platform/postgres.ts'
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

/** The content index: what was published for a model, newest first, after `after` in that order. */
export function listContent(
  db: Database,
  where: ContentFilter,
  page: { limit: number; after?: ContentPosition },
): Promise<Content[]> {
  return db.query<Content>(
    `SELECT ${columns.content('c', 'v')}
       FROM content_index c JOIN model_version v ON v.model = c.model AND v.version = c.version
      WHERE c.model = $1 AND ($2::integer IS NULL OR c.version = $2) AND ($3::text IS NULL OR c.table_name = $3)
        AND ($4::text IS NULL OR c.form = $4)
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
