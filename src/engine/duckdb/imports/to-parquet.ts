import { join } from 'node:path'
import type { Kinds, Table } from '../../../kinds/kind.ts'
import type { ImportSource, Work } from '../../engine.ts'
import { withAttached } from '../attached-models.ts'
import { inMemory } from '../in-memory.ts'
import { interruptible } from '../interruptible.ts'
import { literal } from '../sql.ts'
import { type CastInto, fillStage } from './fill-stage.ts'
import { openSource } from './index.ts'
import { parquetScan } from './parquet-source.ts'
import type { Source } from './source.ts'

/**
 * Reads what is imported, each cell exactly, into a Parquet file at `to`, with the table's columns, `_row` and `_line`, in
 * the order of the source: for an engine that reads no other files.
 * @param options.scratch an empty folder
 * @param options.take is offered the source first; where it makes something of its rows, nothing is written
 * @returns what that is, or null, and there is a file
 * @throws TeatreeError BAD_FILE or BAD_VALUE
 */
export async function importToParquet<T>(options: {
  kinds: Kinds
  table: Table
  source: ImportSource
  to: string
  scratch: string
  take(source: Source): Promise<T | null>
  signal: AbortSignal
  onStep: Work['onStep']
}): Promise<T | null> {
  const { kinds, table, source, to, scratch, take, signal, onStep } = options
  const refs = source.is === 'snapshot' ? [source.snapshot] : []
  return inMemory(join(scratch, 'spill'), (sql, connection) =>
    withAttached(sql, refs, kinds, models =>
      interruptible(connection, signal, async () => {
        onStep('read', 0)
        const attached = async () => {
          const [model] = models
          if (!model) throw new Error('nothing is attached')
          return model
        }
        const reading = { sql, table, mapping: source.columns, scratch, signal }
        const opened = await openSource(
          { source, attached },
          { ...reading, onRead: progress => onStep('read', progress) },
        )
        signal.throwIfAborted()
        onStep('check', null)
        const taken = await take(opened)
        signal.throwIfAborted()
        if (taken === null) await fillStage(sql, intoParquet(to), opened)
        signal.throwIfAborted()
        return taken
      }),
    ),
  )
}

/** It is read once or twice, soon, and then gone: to compress it would take longer than to read what it is larger by. */
const intoParquet = (path: string): CastInto => ({
  make: select =>
    `COPY (${select}) TO ${literal(path)} (FORMAT parquet, COMPRESSION uncompressed, WRITE_BLOOM_FILTER false)`,
  relation: parquetScan([path]),
})
