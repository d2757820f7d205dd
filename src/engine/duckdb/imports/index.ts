import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { ReadModel } from '../../../kinds/context.ts'
import type { Kind, Table } from '../../../kinds/kind.ts'
import type { ImportMode, ImportSource, SnapshotRef, Work } from '../../engine.ts'
import type { ImportFormat } from '../../files.ts'
import type { RowCounts } from '../../row-counts.ts'
import { SurroundingsError } from '../../surroundings-error.ts'
import { stageAndWrite } from '../row-writes.ts'
import type { DuckDBSql } from '../sql.ts'
import { readArrow } from './arrow-source.ts'
import { readCsv } from './csv-source.ts'
import { fillStage, INTO_STAGE } from './fill-stage.ts'
import { readNdjson } from './ndjson-source.ts'
import { readParquet } from './parquet-source.ts'
import { readSnapshot } from './snapshot-source.ts'
import type { Reading, Source } from './source.ts'
import { writeAtOnce } from './write-at-once.ts'

export { describeFile } from './describe.ts'

export interface ImportOptions {
  sql: DuckDBSql
  kind: Kind
  table: Table
  mode: ImportMode
  source: ImportSource
  /** Attaches a version of another model. */
  attached: (ref: SnapshotRef) => Promise<ReadModel>
  /** A folder for what is put down on the way; all of it is gone afterwards. */
  scratch: string
  signal: AbortSignal
  onStep: Work['onStep']
}

/**
 * Imports a file or a snapshot's table into a table, within the transaction under way, which must hold nothing else: each
 * cell exactly, or nothing.
 *
 *   read ── CSV, NDJSON ▶ records in one dialect │ Arrow ▶ Parquet │ plain CSV, Parquet, snapshots as they are
 *   check ─ one pass over them: cast into the table where it is empty and nothing is at fault
 *           else into the stage, and every cell that would lose something is told
 *   write ─ the stage's keys, then the stage
 *
 * @throws TeatreeError BAD_FILE, BAD_VALUE or KEY_CONFLICT; then the transaction is to be rolled back
 */
export async function applyImport(options: ImportOptions): Promise<RowCounts> {
  const { sql, table, mode, signal, onStep } = options
  const scratch = await mkdtemp(join(options.scratch, 'import-'))
  try {
    onStep('read', 0)
    const source = await openSource(options, {
      sql,
      table,
      mapping: options.source.columns,
      scratch,
      signal,
      onRead: progress => onStep('read', progress),
    })
    signal.throwIfAborted()
    onStep('check', null)
    const written = await writeAtOnce({ sql, table, mode, signal }, source)
    if (written) {
      onStep('write', null)
      return written
    }
    return await stageAndWrite({
      sql,
      table,
      mode,
      fill: async () => {
        signal.throwIfAborted()
        await fillStage(sql, INTO_STAGE, source)
        signal.throwIfAborted()
        onStep('write', null)
      },
    })
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

const FORMATS: Record<ImportFormat, (reading: Reading, path: string) => Promise<Source>> = {
  CSV: readCsv,
  NDJSON: readNdjson,
  PARQUET: (reading, path) => readParquet(reading, [path]),
  ARROW: readArrow,
}

/** Opens what is imported. @throws TeatreeError BAD_FILE or BAD_VALUE */
export async function openSource(
  { source, attached }: Pick<ImportOptions, 'source' | 'attached'>,
  reading: Reading,
): Promise<Source> {
  try {
    return source.is === 'file'
      ? await FORMATS[source.format](reading, source.path)
      : await readSnapshot(reading, source.table, () => attached(source.snapshot))
  } catch (error) {
    // the file was there when the intent was taken on: where the system cannot read it, the intent did nothing wrong
    if (error instanceof Error && 'syscall' in error) throw new SurroundingsError('the import could not be read', error)
    throw error
  }
}
