import type { Column } from '../../../kinds/kind.ts'
import { BatchBuilder } from '../../arrow/batch-builder.ts'
import { END_OF_STREAM, schemaMessage } from '../../arrow/ipc-stream.ts'
import type { ChunkStream } from '../chunk-stream.ts'
import { quoted } from '../sql.ts'
import { addVector } from './arrow-vectors.ts'
import { type Form, PIECE_BYTES } from './table-stream.ts'

/** A batch is done with the chunk by which it has so many rows, if it has not the bytes of a piece before. */
const PIECE_ROWS = 16_384

/** An Arrow IPC stream, of batches of columns as they lie in DuckDB's memory. */
export const arrowForm = (columns: readonly Column[]): Form => ({
  select: columns.map(({ name }) => quoted(name)),
  types: columns.map(({ type }) => type),
  head: schemaMessage(columns),
  tail: END_OF_STREAM,
  pieces: chunks => batches(chunks, columns),
})

async function* batches(chunks: ChunkStream, columns: readonly Column[]): AsyncGenerator<Uint8Array> {
  const batch = new BatchBuilder(columns)
  for (let isMore = true; isMore; ) {
    let rows = 0
    isMore = await chunks.fill(chunk => {
      for (const [index, { type }] of columns.entries()) {
        const into = batch.columns[index]
        if (into) addVector(chunk, index, type, into)
      }
      rows += chunk.rowCount
      return rows >= PIECE_ROWS || batch.bytes >= PIECE_BYTES
    })
    if (rows > 0) yield batch.finish(rows)
  }
}
