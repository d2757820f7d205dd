import { join } from 'node:path'
import type { Kinds, Table } from '../../../kinds/kind.ts'
import type { ImportSource, Work } from '../../engine.ts'
import { withAttached } from '../attached-models.ts'
import { inMemory } from '../in-memory.ts'
import { interruptible } from '../interruptible.ts'
import { literal, quoted } from '../sql.ts'
import { STAGE } from '../stage.ts'
import { fillStage } from './fill-stage.ts'
import { openSource } from './index.ts'

/**
 * Reads what is imported, each cell exactly, into a Parquet file at `to`, with the table's columns, `_row` and `_line`, in
 * the order of the source: for an engine that reads no other files.
 * @param options.scratch an empty folder
 * @throws TeatreeError BAD_FILE or BAD_VALUE
 */
export async function importToParquet(options: {
  kinds: Kinds
  table: Table
  source: ImportSource
  to: string
  scratch: string
  signal: AbortSignal
  onStep: Work['onStep']
}): Promise<void> {
  const { kinds, table, source, to, scratch, signal, onStep } = options
  const refs = source.is === 'snapshot' ? [source.snapshot] : []
  await inMemory(join(scratch, 'spill'), (sql, connection) =>
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
        await fillStage(sql, STAGE, opened)
        signal.throwIfAborted()
        const columns = [...table.columns.keys(), '_row', '_line'].map(quoted)
        await sql.run(
          `COPY (SELECT ${columns.join(', ')} FROM ${STAGE}) TO ${literal(to)} (FORMAT parquet, COMPRESSION lz4)`,
        )
        await sql.run(`DROP TABLE ${STAGE}`)
      }),
    ),
  )
}
