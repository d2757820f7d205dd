import type { LogicalType } from '../../../kinds/types.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import { inPieces } from '../../../platform/turns.ts'
import type { ResultColumn, StoredResult, StreamFormat } from '../../engine.ts'
import type { Connections } from '../connections.ts'
import { FORMS, streamForm } from '../exports/table-stream.ts'
import { literalPath } from '../imports/record-file.ts'
import { literal, quoted } from '../sql.ts'

/* Results that are there, in Parquet files that query processes wrote: rows keep the order in which they came. */

const scan = ({ path }: StoredResult): string => `read_parquet(${literal(literalPath(path))})`

/** A page is as deep in its file as somebody says, and what lies before it may be read as well. */
const DEEP = { isExport: true, timeoutSeconds: 60 }

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
  const rows = await connections.use(sql => sql.all(text, { limit, offset }), { signal, ...DEEP })
  const read: unknown[][] = []
  for await (const row of inPieces(rows))
    read.push(
      columns.map((column, index) => {
        const value = row[`c${index}`] ?? null
        return column.isJson && value !== null ? jsonOf(String(value)) : value
      }),
    )
  return read
}

/*
 * What a page may have: it is made into an answer, and its values with parts are parsed, while nobody else is served. An
 * operation may ask for many pages.
 */
const MAX_PAGE_CELLS = 200_000
const MAX_PAGE_BYTES = 4 << 20
const MAX_PAGE_JSON_BYTES = 1 << 20

/** What would not do in an answer is not made one: lengths are looked at first. */
async function checkPage(
  connections: Connections,
  result: StoredResult,
  { offset, limit }: { offset: number; limit: number },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { columns, rows } = result
  if (Math.min(limit, rows - offset) * columns.length > MAX_PAGE_CELLS)
    throw pageTooLarge(`This page has more than ${MAX_PAGE_CELLS} values`)
  const texts = columns.filter(({ stored }) => stored === 'VARCHAR')
  if (texts.length === 0) return
  const bytes = (of: readonly ResultColumn[]) =>
    ['0', ...of.map(({ name }) => `coalesce(sum(strlen(${quoted(name)})), 0)`)].join(' + ')
  const text = `SELECT ${bytes(texts)} > ${MAX_PAGE_BYTES} AS "isTooLarge",
      ${bytes(texts.filter(({ isJson }) => isJson))} > ${MAX_PAGE_JSON_BYTES} AS "hasTooManyParts"
    FROM (SELECT ${texts.map(({ name }) => quoted(name)).join(', ')} FROM ${scan(result)} LIMIT $limit OFFSET $offset)`
  const [page] = await connections.use(sql => sql.all(text, { limit, offset }), { signal, ...DEEP })
  if (page?.isTooLarge) throw pageTooLarge(`The texts of this page have more than ${MAX_PAGE_BYTES >> 20} MiB`)
  if (page?.hasTooManyParts)
    throw pageTooLarge(
      `Lists, objects and JSON of this page have more than ${MAX_PAGE_JSON_BYTES >> 20} MiB, written as JSON`,
    )
}

const pageTooLarge = (what: string) => new TeatreeError('RESULT_TOO_LARGE', `${what}; ask for fewer rows at once.`)

/** As JSON has it, but for numbers of more digits than a number here holds: those come as text. */
function jsonOf(text: string): unknown {
  // To be asked of each value takes several times as long.
  if (!LONG_NUMBER.test(text)) return JSON.parse(text)
  // TypeScript does not know yet that a reviver is told what stood there.
  const exact = (_: string, value: unknown, { source = '' }: { source?: string } = {}) =>
    typeof value === 'number' && source.replace(/e.*|\D/gi, '').length > EXACT_DIGITS ? source : value
  return JSON.parse(text, exact as (key: string, value: unknown) => unknown)
}
const EXACT_DIGITS = 15
const LONG_NUMBER = new RegExp(`[\\d.]{${EXACT_DIGITS + 1}}`)

/** See Readers.streamResult. */
export async function* streamResult(
  connections: Connections,
  result: StoredResult,
  format: StreamFormat,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const form = await FORMS[format](result.columns.map(asColumn))
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
