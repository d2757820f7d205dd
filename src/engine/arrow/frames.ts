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

/** Which of the files a row is of, and which row of it, from 0. No column of a kind has a space in its name. */
export const FILE_OF_ROW = 'file of row'
export const ROW_OF_FILE = 'row of file'

/** The files' rows, with their FILE_OF_ROW, and where it is asked for their ROW_OF_FILE; null where there is no file. */
export function placedFrame(
  columns: readonly ColumnType[],
  files: readonly { file: Pick<TableFile, 'name' | 'lacks'>; place: number }[],
  pathOf: (name: string) => string,
  withRows = false,
): LazyDataFrame | null {
  const frames = files.map(({ file, place }) => {
    const frame = fileFrame(columns, file, pathOf(file.name))
    const rows = withRows ? frame.withRowIndex(ROW_OF_FILE) : frame
    return rows.withColumns(pl.lit(place).cast(pl.Int32).alias(FILE_OF_ROW))
  })
  const [first, ...more] = frames
  return first === undefined ? null : more.length === 0 ? first : pl.concat(frames)
}

/** How many rows a frame has, which files say by themselves. */
export async function rowsOfFrame(frame: LazyDataFrame): Promise<number> {
  const [found] = (await frame.select(pl.len().cast(pl.Int32).alias('rows')).collect()).toRecords()
  return Number(found?.rows)
}
