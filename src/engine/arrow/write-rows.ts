import { fileFrame } from './frames.ts'
import type { KeyedTable } from './key-ranges.ts'
import type { LazyDataFrame } from './polars.ts'
import type { ScratchFile, ScratchFiles } from './scratch-files.ts'

/**
 * A table's file has no more rows than this, or than a 64th of the table: an update writes all of each file that it touches,
 * and a version names all of its files.
 */
const FILE_ROWS = 1 << 18
export const fileRows = (rows: number): number => Math.max(FILE_ROWS, Math.ceil(rows / 64))

/**
 * Writes the rows of a frame, which has the table's columns, as files of the table, in their order.
 * @param before how many rows the table has without them
 * @param known of a frame that is in memory or in files as it is: what `ScratchFiles.write` need not find out
 */
export async function writeRows(
  { scratch, signal }: { scratch: ScratchFiles; signal: AbortSignal },
  table: KeyedTable,
  rows: LazyDataFrame,
  before: number,
  known?: Pick<ScratchFile, 'rows' | 'ranges'>,
): Promise<ScratchFile[]> {
  signal.throwIfAborted()
  if (known && known.rows <= fileRows(before + known.rows)) {
    const file = await scratch.write(table, rows, known)
    return file ? [file] : []
  }
  // A slice of a file costs what is in it, of other frames all of them.
  const { frame, total, whole } = known
    ? { frame: rows, total: known.rows, whole: null }
    : await written(scratch, table, rows)
  const most = fileRows(before + total)
  if (whole && total <= most) return [whole]
  const files: ScratchFile[] = []
  for (let at = 0; at < total; at += most) {
    signal.throwIfAborted()
    const file = await scratch.write(table, frame.slice(at, most))
    if (file) files.push(file)
  }
  return files
}

async function written(scratch: ScratchFiles, table: KeyedTable, rows: LazyDataFrame) {
  const whole = await scratch.write(table, rows)
  const frame = whole ? fileFrame([...table.columns.values()], whole, scratch.path(whole.name)) : rows
  return { whole, frame, total: whole?.rows ?? 0 }
}
