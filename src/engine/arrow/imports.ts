import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Kinds, Table } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { importToParquet } from '../duckdb/imports/to-parquet.ts'
import type { Change, ImportSource, Work } from '../engine.ts'
import { NO_ROWS, type RowCounts } from '../row-counts.ts'
import { castAsWritten } from './as-written.ts'
import { polarsType } from './columns.ts'
import { literalPath, rowsOfFrame } from './frames.ts'
import { isOnArrow } from './manifest.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { appendStage, replaceStage, upsertStage, type WriteContext } from './row-writes.ts'
import type { ScratchFile } from './scratch-files.ts'
import { stageOfFrame } from './stage.ts'
import { StreamedFrames } from './streamed-frames.ts'
import { tableToParquet } from './version-archive.ts'

/** What an import needs besides: `dir` is for files on the way. */
export interface ImportContext extends WriteContext {
  kinds: Kinds
  dir: string
}

/**
 * Imports a file or a snapshot's table into a table. What it holds is read and cast by DuckDB, whatever engine has the model, but
 * for text of which there is nothing to be asked:
 *
 *   source ─┬─ exact casts ──▶ Parquet with the table's columns ─┬─▶ stage ──▶ files of the table
 *           └─ records whose cells are written as values are ────┘
 *
 * @throws TeatreeError BAD_FILE, BAD_VALUE or KEY_CONFLICT
 */
export async function applyImport(
  context: ImportContext,
  table: Table,
  { source, mode }: Extract<Change, { is: 'import' }>,
  onStep: Work['onStep'],
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts }> {
  const { kinds, signal } = context
  const scratch = await mkdtemp(join(context.dir, 'import-'))
  try {
    const [parquet, arrow] = [join(scratch, 'staged.parquet'), join(scratch, 'staged.arrow')]
    const cast = await importToParquet({
      kinds,
      table,
      source: await readable(context, source, scratch),
      to: parquet,
      take: async source => {
        const cast = await castAsWritten(source, arrow)
        // What is written instead may need the room.
        if (!cast) await rm(arrow, { force: true })
        return cast
      },
      scratch,
      signal,
      onStep,
    })
    signal.throwIfAborted()
    onStep('write', null)
    const columns = [...table.columns.values()].map(({ name, type }) => pl.col(name).cast(polarsType(type), true))
    const staged = cast ?? pl.scanParquet(literalPath(parquet))
    const rows = staged.select(...columns, pl.col('_row'), pl.col('_line'))
    await using streamed = new StreamedFrames(scratch)
    const written = { rows: await rowsOfFrame(staged), compute: (frame: LazyDataFrame) => streamed.compute(frame) }
    return await WRITE[mode](context, table, await stageOfFrame(table, rows, written))
  } finally {
    await rm(scratch, { recursive: true, force: true })
  }
}

type Write = typeof replaceStage
const WRITE: Record<Extract<Change, { is: 'import' }>['mode'], Write> = {
  APPEND: async (context, table, stage) => {
    const { files, inserted, refused } = await appendStage(context, table, stage)
    for (const error of refused.values()) throw error
    return { files, counts: { ...NO_ROWS, inserted } }
  },
  UPSERT: async (context, table, stage) => {
    const { files, counts } = await upsertStage(context, table, stage)
    return { files, counts: counts[0] ?? NO_ROWS }
  },
  REPLACE: replaceStage,
}

/** The source as DuckDB can read it. */
async function readable({ kinds }: ImportContext, source: ImportSource, scratch: string): Promise<ImportSource> {
  if (source.is === 'file' || !isOnArrow(source.snapshot)) return source
  const { columns, snapshot, table } = source
  const kind = kinds.get(snapshot.kind)
  if (!kind) {
    const what = `model ${snapshot.model} is of kind ${snapshot.kind}, which this server does not know`
    throw new TeatreeError('UNKNOWN_KIND', what)
  }
  const dir = await mkdtemp(join(scratch, 'source-'))
  const path = await tableToParquet(snapshot, kind, table, dir)
  return { is: 'file', path, format: 'PARQUET', ...(columns ? { columns } : {}) }
}
