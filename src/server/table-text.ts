import type { SnapshotReader } from '../engine/engine.ts'
import type { Filter, Order } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'

/** The text that a table can be had as, by extension: its media type. */
export const TEXT_FORMATS = { csv: 'text/csv; charset=utf-8', ndjson: 'application/x-ndjson' } as const
export type TextFormat = keyof typeof TEXT_FORMATS

/**
 * Each page finds its place anew, so few large ones are faster than many small ones; they grow until their text is about
 * as long as this. Rows may be wide, so the first ones are few.
 */
const PAGE_LENGTH = 4 << 20
const MIN_ROWS = 1_000
const MAX_ROWS = 20_000

/**
 * The rows that `where` selects, by key, as text: what an import takes and makes the same rows of. Values are canonical:
 * decimals and 64-bit integers are strings in NDJSON, as in GraphQL.
 */
export async function* rowsAsText(
  reader: SnapshotReader,
  { table, columns, where }: { table: Table; columns: readonly string[]; where: Filter },
  format: TextFormat,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const orderBy = table.key.map((column): Order => ({ column, direction: 'ASC', nulls: 'LAST' }))
  const line = LINES[format]
  let text = format === 'csv' ? `${columns.join(',')}\n` : ''
  let limit = MIN_ROWS
  let after: Value[] | undefined
  for (;;) {
    const plan = { table: table.name, columns, where, orderBy, limit, ...(after && { after }) }
    const page = await reader.rows(plan, signal)
    for (const row of page) text += line(row, columns)
    if (text !== '') yield text
    const last = page.at(-1)
    if (!last || page.length < limit) return
    after = table.key.map(column => last[column] ?? null)
    limit = Math.max(MIN_ROWS, Math.min(MAX_ROWS, Math.round((limit * PAGE_LENGTH) / text.length)))
    text = ''
  }
}

const LINES: Record<TextFormat, (row: Row, columns: readonly string[]) => string> = {
  csv: (row, columns) => `${columns.map(column => csvField(row[column] ?? null)).join(',')}\n`,
  // A column that is left out would be null too; but who reads line by line wants to see it.
  ndjson: (row, columns) => `${JSON.stringify(Object.fromEntries(columns.map(name => [name, row[name] ?? null])))}\n`,
}

/** An empty field is null, `""` the empty string. */
function csvField(value: Value): string {
  if (value === null) return ''
  const text = String(value)
  return text === '' || /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}
