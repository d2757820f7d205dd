import { Texts } from '../../arrow/buffers.ts'
import type { StreamFormat } from '../../engine.ts'
import { ALL, type TablePlan } from '../../plan.ts'
import { tableOf } from '../../plan-tables.ts'
import type { ChunkStream } from '../chunk-stream.ts'
import type { Connections } from '../connections.ts'
import { compileCount } from '../rows-sql.ts'
import type { Scope } from '../statement.ts'
import { addTexts } from './chunk-vectors.ts'
import { columnsOf, compileTable } from './table-sql.ts'
import { csvHeader, csvLine, ndjsonLine, type TextColumn } from './text-sql.ts'

/** A piece is done with the chunk by which it has so many bytes: the event loop is not held up by it. */
export const PIECE_BYTES = 1 << 20

/** How a format is made: what is selected for it, its pieces, and what goes before and after them. */
export interface Form {
  select: readonly string[]
  types: readonly string[]
  head: Uint8Array
  tail: Uint8Array
  pieces(chunks: ChunkStream): AsyncGenerator<Uint8Array>
}

export const FORMS: Record<StreamFormat, (columns: readonly TextColumn[]) => Promise<Form>> = {
  // Loaded by those alone who ask for Arrow.
  arrow: async columns => (await import('./arrow-form.ts')).arrowForm(columns),
  csv: async columns => textForm(csvLine(columns), csvHeader(columns)),
  ndjson: async columns => textForm(ndjsonLine(columns), ''),
}

const textForm = (line: string, head: string): Form => ({
  select: [line],
  types: ['VARCHAR'],
  head: Buffer.from(head),
  tail: new Uint8Array(0),
  pieces: texts,
})

/** What SnapshotReader.stream promises, over a snapshot's tables. */
export async function* streamTable(
  connections: Connections,
  scope: Scope,
  plan: TablePlan,
  format: StreamFormat,
  signal?: AbortSignal,
): AsyncGenerator<Uint8Array, void, void> {
  const form = await FORMS[format](columnsOf(tableOf(scope.kind, plan.table), plan))
  const count = compileCount(scope, plan.table, plan.where ?? ALL)
  yield* streamForm(await connections.stream(compileTable(scope, plan, form.select), count, signal), form)
}

/** The bytes of a form, of the rows that were selected for it; closes the stream. */
export async function* streamForm(chunks: ChunkStream, form: Form): AsyncGenerator<Uint8Array, void, void> {
  try {
    // Memory is read by these types.
    if (chunks.types.join() !== form.types.join()) throw new Error(`rows are read as ${chunks.types}`)
    const pieces = form.pieces(chunks)
    // What cannot even begin fails before there is anything of it.
    const first = await pieces.next()
    if (form.head.length > 0) yield form.head
    if (!first.done) yield first.value
    yield* pieces
    if (form.tail.length > 0) yield form.tail
  } finally {
    await chunks.close()
  }
}

async function* texts(chunks: ChunkStream): AsyncGenerator<Uint8Array> {
  const lines = new Texts()
  for (let isMore = true; isMore; ) {
    isMore = await chunks.fill(chunk => {
      addTexts(chunk, 0, null, lines)
      return lines.bytes.length >= PIECE_BYTES
    })
    if (lines.bytes.length > 0) yield Buffer.from(lines.bytes)
    lines.clear()
  }
}
