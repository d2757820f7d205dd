import type { Column } from '../../kinds/kind.ts'
import { frameOf, polarsType } from './columns.ts'
import type { TableFile } from './manifest.ts'
import pl, { type LazyDataFrame } from './polars.ts'

type ColumnType = Pick<Column, 'name' | 'type'>

/** Polars takes a path for a pattern: what stands in it for more than itself is put in brackets. */
export const literalPath = (path: string): string => path.replaceAll(/[*?[]/g, '[$&]')

/** The columns of one of a table's files, memory-mapped and read as they are asked for. */
export function fileFrame(
  columns: readonly ColumnType[],
  { lacks = [] }: Pick<TableFile, 'lacks'>,
  path: string,
): LazyDataFrame {
  return pl
    .scanIPC(literalPath(path))
    .select(columns.map(({ name, type }) => (lacks.includes(name) ? nullColumn(name, type) : pl.col(name))))
}

const nullColumn = (name: string, type: Column['type']) => pl.lit(null).cast(polarsType(type)).alias(name)

/** A table's columns over all of its files, in the order in which its rows are stored. */
export function tableFrame(
  columns: readonly ColumnType[],
  files: readonly Pick<TableFile, 'name' | 'lacks'>[],
  pathOf: (name: string) => string,
): LazyDataFrame {
  const [first, ...more] = files.map(file => fileFrame(columns, file, pathOf(file.name)))
  if (!first) return frameOf(columns, []).lazy()
  return more.length === 0 ? first : pl.concat([first, ...more])
}

/**
 * The files' rows, with the place of the file that a row is of as `_file`; null where there is no file.
 * @param rowName for the place of each row in its file, where that is asked for
 */
export function placedFrame(
  columns: readonly ColumnType[],
  files: readonly { file: Pick<TableFile, 'name' | 'lacks'>; place: number }[],
  pathOf: (name: string) => string,
  rowName?: string,
): LazyDataFrame | null {
  const frames = files.map(({ file, place }) => {
    const frame = fileFrame(columns, file, pathOf(file.name))
    const rows = rowName === undefined ? frame : frame.withRowIndex(rowName)
    return rows.withColumns(pl.lit(place).cast(pl.Int32).alias('_file'))
  })
  const [first, ...more] = frames
  return first === undefined ? null : more.length === 0 ? first : pl.concat(frames)
}

/** How many rows a frame has, which files say by themselves. */
export async function rowsOfFrame(frame: LazyDataFrame): Promise<number> {
  const [found] = (await frame.select(pl.len().cast(pl.Int32).alias('rows')).collect()).toRecords()
  return Number(found?.rows)
}
