import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import type { OutgoingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import type { SnapshotReader } from '../engine/engine.ts'
import { ALL, type Filter } from '../engine/plan.ts'
import type { Kind, Table } from '../kinds/kind.ts'
import { parseWhere } from '../kinds/where.ts'
import { TeatreeError } from '../platform/errors.ts'
import { stream } from './answers.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import { type ContentDeps, IMMUTABLE, type Published } from './published.ts'
import { rowsAsText, TEXT_FORMATS, type TextFormat } from './table-text.ts'

/** What a request asks for of a table. */
interface Wanted {
  table: Table
  columns: readonly string[]
  where: Filter
  /** Whether it is less than the whole table. */
  narrowed: boolean
}

const EXTENSIONS = ['parquet', ...Object.keys(TEXT_FORMATS)]

/** A table of a version as `TABLE.EXT`, narrowed by `?columns=` and `?where=`. */
export async function answerTable(
  exchange: Exchange,
  deps: ContentDeps,
  { model, version }: Published,
  file: string,
): Promise<void> {
  const [, name = '', extension = ''] = /^(\w+)\.(\w+)$/.exec(file) ?? []
  const kind = deps.services.kinds.get(model.kind)
  const table = kind?.tables.get(name)
  if (!kind || !table)
    throw new TeatreeError('NOT_FOUND', `Version ${version.version} of model ${model.id} has no ${file}.`)
  const wanted = read(kind, table, exchange.url.searchParams)
  const format = formatOf(extension, wanted)
  const open = await deps.services.snapshots.open(version)
  try {
    const name = `${model.id}-${version.version}-${table.name}.${extension}`
    const headers = { ...IMMUTABLE, 'content-disposition': `attachment; filename="${name}"` }
    if (format === 'parquet') await answerParquet(exchange, deps.dataDir, open.reader, table, headers)
    else await answerText(exchange, open.reader, wanted, format, headers)
  } finally {
    open.release()
  }
}

/** @throws TeatreeError BAD_VALUE */
function read(kind: Kind, table: Table, query: URLSearchParams): Wanted {
  const [columns, where] = [query.get('columns'), query.get('where')]
  const names = columns === null ? [...table.columns.keys()] : [...new Set(columns.split(','))]
  const unknown = names.find(name => !table.columns.has(name))
  if (unknown !== undefined)
    throw new TeatreeError(
      'BAD_VALUE',
      `columns: ${table.name} has no ${JSON.stringify(unknown)}; there are ${[...table.columns.keys()].join(', ')}.`,
    )
  const filter = where === null ? ALL : parseWhere(kind, table, jsonOf(where))
  return { table, columns: names, where: filter, narrowed: columns !== null || where !== null }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw new TeatreeError(
      'BAD_VALUE',
      `where: give the table's filter as JSON, {"amount": {"gte": "100"}} for example.`,
    )
  }
}

/** @throws TeatreeError WRONG_FORMAT where the table cannot be had so */
function formatOf(extension: string, { narrowed }: Wanted): TextFormat | 'parquet' {
  if (extension === 'parquet' && !narrowed) return extension
  const format = Object.keys(TEXT_FORMATS).find((name): name is TextFormat => name === extension)
  if (format) return format
  throw new TeatreeError(
    'WRONG_FORMAT',
    extension === 'parquet'
      ? 'As Parquet a table is served whole; columns and where narrow CSV and NDJSON.'
      : `A table is served as ${EXTENSIONS.join(', ')}; not as ${extension}.`,
  )
}

/** Rows are read page by page as the client takes them, so that memory stays flat. */
async function answerText(
  { request, response, signal }: Exchange,
  reader: SnapshotReader,
  { table, columns, where }: Wanted,
  format: TextFormat,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  const text = rowsAsText(reader, { table, columns, where }, format, signal)
  // Until the first rows are there, what goes wrong can still be told with a code.
  const first = request.method === 'HEAD' ? null : await text.next()
  response.writeHead(200, { ...headers, 'content-type': TEXT_FORMATS[format] })
  await stream(
    response,
    (async function* () {
      if (first && !first.done) yield first.value
      if (first) yield* text
    })(),
  )
}

/** Written to a file first: Parquet says at its end what is in it. */
async function answerParquet(
  exchange: Exchange,
  dataDir: string,
  reader: SnapshotReader,
  table: Table,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  const shown = { ...headers, 'content-type': 'application/vnd.apache.parquet' }
  if (exchange.request.method === 'HEAD') {
    // Its length is known only when all of it has been written, which nobody asked for.
    exchange.response.writeHead(200, shown).end()
    return
  }
  const folder = exportsFolder(dataDir)
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${randomUUID()}.parquet`)
  try {
    await reader.exportParquet(table.name, path, exchange.signal)
    if (!(await answerFile(exchange, { path, headers: shown }))) throw new Error(`${path} is gone`)
  } finally {
    await rm(path, { force: true })
  }
}

/** Where tables are written on their way to a client; what is there when a process starts is of a dead one. */
export const exportsFolder = (dataDir: string): string => join(dataDir, 'exports')
