import { randomUUID } from 'node:crypto'
import { mkdir, rm } from 'node:fs/promises'
import type { OutgoingHttpHeaders } from 'node:http'
import { join } from 'node:path'
import type { SnapshotReader, StreamFormat } from '../engine/engine.ts'
import type { TablePlan } from '../engine/plan.ts'
import type { Kind, Table } from '../kinds/kind.ts'
import { parseWhere } from '../kinds/where.ts'
import { Admission } from '../platform/admission.ts'
import { TeatreeError } from '../platform/errors.ts'
import { stream } from './answers.ts'
import type { Exchange } from './exchange.ts'
import { answerFile } from './file-answer.ts'
import { type ContentDeps, immutable, type Published } from './published.ts'

/** What a table can be had as, by extension: its media type. */
export const FORMATS: Record<StreamFormat | 'parquet', string> = {
  parquet: 'application/vnd.apache.parquet',
  arrow: 'application/vnd.apache.arrow.stream',
  csv: 'text/csv; charset=utf-8',
  ndjson: 'application/x-ndjson',
}
export type Format = keyof typeof FORMATS

/** Where tables are written on their way to a client. */
export const exportsFolder = (dataDir: string): string => join(dataDir, 'exports')

/** The line of those who download tables: each has a read under way, or a file on the disk, for as long as it takes. */
export const downloadsLine = (): Admission => new Admission({ places: 16, maxWaiting: 64, what: 'downloads' })

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
  const plan = planOf(kind, table, exchange.url.searchParams)
  const format = formatOf(extension)
  const { request, response, signal } = exchange
  const headers = {
    ...immutable(exchange),
    'content-type': FORMATS[format],
    'content-disposition': `attachment; filename="${model.id}-${version.version}-${table.name}.${format}"`,
  }
  const answer = async () => {
    const open = await deps.services.snapshots.open(version)
    try {
      // How long the answer is shows when all of it has been made, which nobody asked for.
      if (request.method === 'HEAD') response.writeHead(200, headers).end()
      else if (format === 'parquet') await answerParquet(exchange, deps.dataDir, open.reader, plan, headers)
      else await answerPieces(exchange, open.reader.stream(plan, format, signal), headers)
    } finally {
      open.release()
    }
  }
  if (request.method === 'HEAD') await answer()
  else await deps.line.run(answer, { signal })
}

/** @throws TeatreeError BAD_VALUE */
function planOf(kind: Kind, table: Table, query: URLSearchParams): TablePlan {
  const [columns, where] = [query.get('columns'), query.get('where')]
  const names = columns === null ? null : [...new Set(columns.split(','))]
  const unknown = names?.find(name => !table.columns.has(name))
  if (unknown !== undefined)
    throw new TeatreeError(
      'BAD_VALUE',
      `columns: ${table.name} has no ${JSON.stringify(unknown)}; there are ${[...table.columns.keys()].join(', ')}.`,
    )
  return {
    table: table.name,
    ...(names && { columns: names }),
    ...(where !== null && { where: parseWhere(kind, table, jsonOf(where)) }),
  }
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

/** @throws TeatreeError WRONG_FORMAT where a table cannot be had so */
export function formatOf(extension: string): Format {
  const names = Object.keys(FORMATS) as Format[]
  const format = names.find(name => name === extension)
  if (format) return format
  throw new TeatreeError('WRONG_FORMAT', `A table is served as ${names.join(', ')}; not as ${extension}.`)
}

/** Rows are read as the client takes them, so that memory stays flat. */
export async function answerPieces(
  { response }: Exchange,
  pieces: AsyncGenerator<Uint8Array, void, void>,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  try {
    // Until the first piece is there, what goes wrong can still be told with a code; after that the connection breaks.
    const first = await pieces.next()
    response.writeHead(200, headers)
    await stream(response, resumed(first, pieces))
  } finally {
    await pieces.return()
  }
}

async function* resumed<T>(first: IteratorResult<T, void>, rest: AsyncGenerator<T, void, void>) {
  if (!first.done) yield first.value
  yield* rest
}

/** Written to a file first: Parquet says at its end what is in it. */
async function answerParquet(
  exchange: Exchange,
  dataDir: string,
  reader: SnapshotReader,
  plan: TablePlan,
  headers: OutgoingHttpHeaders,
): Promise<void> {
  const folder = exportsFolder(dataDir)
  await mkdir(folder, { recursive: true })
  const path = join(folder, `${randomUUID()}.parquet`)
  try {
    await reader.exportParquet(plan, path, exchange.signal)
    if (!(await answerFile(exchange, { path, headers }))) throw new Error(`${path} is gone`)
  } finally {
    await rm(path, { force: true })
  }
}
