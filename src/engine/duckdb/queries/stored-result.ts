import type { LogicalType } from '../../../kinds/types.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import type { ResultColumn, StoredResult, StreamFormat } from '../../engine.ts'
import type { Connections } from '../connections.ts'
import { FORMS, streamForm } from '../exports/table-stream.ts'
import { literalPath } from '../imports/record-file.ts'
import { literal, quoted } from '../sql.ts'

/* Results that are there, in Parquet files that query processes wrote: rows keep the order in which they came. */

const scan = ({ path }: StoredResult): string => `read_parquet(${literal(literalPath(path))})`

/** See Readers.resultRows. */
export async function resultRows(
  connections: Connections,
  result: StoredResult,
  { offset, limit }: { offset: number; limit: number },
  signal?: AbortSignal,
): Promise<unknown[][]> {
  const { columns } = result
  await checkPage(connections, result, { offset, limit }, signal)
  const list = columns.map(({ name }, index) => `${quoted(name)} AS c${index}`)
  const text = `SELECT ${list.join(', ')} FROM ${scan(result)} LIMIT $limit OFFSET $offset`
  const rows = await connections.use(sql => sql.all(text, { limit, offset }), { signal })
  return rows.map(row =>
    columns.map((column, index) => {
      const value = row[`c${index}`] ?? null
      return column.isJson && value !== null ? jsonOf(String(value)) : value
    }),
  )
}

/** The longest texts of a page are looked for first: what would not do in an answer is not made one. */
async function checkPage(
  connections: Connections,
  result: StoredResult,
  { offset, limit }: { offset: number; limit: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const texts = result.columns.filter(({ stored }) => stored === 'VARCHAR').map(({ name }) => quoted(name))
  if (texts.length === 0) return
  const bytes = texts.map(name => `coalesce(strlen(${name}), 0)`).join(' + ')
  const text = `SELECT coalesce(sum(${bytes}), 0) > ${MAX_PAGE_BYTES} AS "isTooLarge"
    FROM (SELECT ${texts.join(', ')} FROM ${scan(result)} LIMIT $limit OFFSET $offset)`
  const [page] = await connections.use(sql => sql.all(text, { limit, offset }), { signal })
  if (page?.isTooLarge)
    throw new TeatreeError(
      'RESULT_TOO_LARGE',
      `The texts of this page have more than ${MAX_PAGE_BYTES >> 20} MiB; ask for fewer rows at once.`,
    )
}
const MAX_PAGE_BYTES = 32 << 20

/** As JSON has it, but for numbers of more digits than a number here holds: those come as text. */
function jsonOf(text: string): unknown {
  // TypeScript does not know yet that a reviver is told what stood there.
  const exact = (_: string, value: unknown, { source = '' }: { source?: string } = {}) =>
    typeof value === 'number' && source.replace(/e.*|\D/gi, '').length > EXACT_DIGITS ? source : value
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown)
}
const EXACT_DIGITS = 15

/** See Readers.streamResult. */
export async function* streamResult(
  connections: Connections,
  result: StoredResult,
  format: StreamFormat,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const form = FORMS[format](result.columns.map(asColumn))
  const from = scan(result)
  const rows = { text: `SELECT ${form.select.join(', ')} FROM ${from}`, params: {} }
  const count = { text: `SELECT count(*) AS count FROM ${from}`, params: {} }
  yield* streamForm(await connections.stream(rows, count, signal), form)
}

const asColumn = ({ name, stored, isJson, nullable }: ResultColumn) => ({
  name,
  type: stored satisfies LogicalType,
  nullable,
  isJson,
  description: undefined,
})
