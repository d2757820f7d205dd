import type { Table } from '../kinds/kind.ts'
import type { Row } from '../kinds/types.ts'

/** How many rows a write has changed. */
export interface RowCounts {
  inserted: number
  updated: number
  deleted: number
}

export const NO_ROWS: RowCounts = { inserted: 0, updated: 0, deleted: 0 }

/** What the intent's outcome says of it. */
export const rowsWritten = (table: Table, { inserted, updated, deleted }: RowCounts): Row => ({
  table: table.name,
  inserted: String(inserted),
  updated: String(updated),
  deleted: String(deleted),
})
