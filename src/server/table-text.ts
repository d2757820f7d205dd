import type { SnapshotReader } from '../engine/engine.ts'
import type { Filter, Order } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'

/** The text that a table can be had as, by extension: its media type. */
export const TEXT_FORMATS = { csv: 'text/csv; charset=utf-8', ndjson: 'application/x-ndjson' } as const
export type TextFormat = keyof typeof TEXT_FORMATS

/** Rows that are read at once. */
const PAGE_ROWS = 1000

/**
 * The rows that `where` selects, by key, as text: what an import takes and makes the same rows of. Values are canonical:
 * decimals and 64-bit integers are strings in NDJSON, as in GraphQL.
 */
export async function* rowsAsText(
  reader: SnapshotReader,
  rows: { table: Table; columns: readonly string[]; where: Filter },
  format: TextFormat,
  signal: AbortSignal,
): AsyncGenerator<string> {
  const line = LINES[format]
  let header = format === 'csv' ? `${rows.columns.join(',')}\n` : ''
  for await (const page of pages(reader, rows, signal)) {
    yield header + page.map(row => line(row, rows.columns)).join('')
    header = ''
  }
  if (header !== '') yield header
}

async function* pages(
  reader: SnapshotReader,
  { table, columns, where }: { table: Table; columns: readonly string[]; where: Filter },
  signal: AbortSignal,
): AsyncGenerator<readonly Row[]> {
  const orderBy = table.key.map((column): Order => ({ column, direction: 'ASC', nulls: 'LAST' }))
  let after: Value[] | undefined
  for (;;) {
    const plan = { table: table.name, columns, where, orderBy, limit: PAGE_ROWS, ...(after && { after }) }
    const page = await reader.rows(plan, signal)
    const last = page.at(-1)
    if (last) yield page
    if (!last || page.length < PAGE_ROWS) return
    after = table.key.map(column => last[column] ?? null)
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
