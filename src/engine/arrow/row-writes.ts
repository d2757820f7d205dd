import type { Column, Kind, Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import type { TeatreeError } from '../../platform/errors.ts'
import type { Filter } from '../plan.ts'
import { tableOf } from '../plan-tables.ts'
import { NO_ROWS, type RowCounts } from '../row-counts.ts'
import { cellOf, leaving, literalOf, rowsOf } from './columns.ts'
import { FILE_OF_ROW, fileFrame, placedFrame, ROW_OF_FILE, tableFrame } from './frames.ts'
import { keyStruct } from './key-filter.ts'
import { byKey, type KeysThere, keyConflicts, keysThere } from './key-lookup.ts'
import { sharesByKey } from './key-measures.ts'
import { keyColumns } from './key-ranges.ts'
import pl, { type DataFrame, type LazyDataFrame } from './polars.ts'
import type { ScratchFile, ScratchFiles } from './scratch-files.ts'
import type { Cells } from './set-cells.ts'
import { notNull, type Stage } from './stage.ts'
import { type Frames, selecting } from './where.ts'
import { writeRows } from './write-rows.ts'

const ROWS = pl.len().cast(pl.Int32).alias('_rows')

/** The files of each table, in the order of its rows. */
export type TableFiles = ReadonlyMap<string, readonly ScratchFile[]>

/** What a table is written in. Nothing of it changes: a write answers with the table's files after it. */
export interface WriteContext {
  scratch: ScratchFiles
  kind: Kind
  tables: TableFiles
  signal: AbortSignal
}

const filesOf = ({ tables }: WriteContext, { name }: Table): readonly ScratchFile[] => tables.get(name) ?? []

/** Adds the staged rows, but for those of intents that a key conflict refuses: their errors, by the intent's number. */
export async function appendStage(
  context: WriteContext,
  table: Table,
  stage: Stage,
): Promise<{ files: readonly ScratchFile[]; refused: ReadonlyMap<number, TeatreeError>; inserted: number }> {
  const files = filesOf(context, table)
  const there = await keysThere(context.scratch, table, files, stage)
  const refused = await keyConflicts(table, stage, there)
  if (refused.size === stage.intents) return { files, refused, inserted: 0 }
  const out = [...refused.keys()].map(intent => pl.col('_intent').neq(pl.lit(intent)))
  const kept = out.reduce((rows, isNot) => rows.filter(isNot), stage.rows)
  const added = await writeRows(context, table, kept, rowsIn(files), refused.size === 0 ? stage.measured : undefined)
  return { files: [...files, ...added], refused, inserted: rowsIn(added) }
}

/**
 * Writes the staged rows whole; of a key that is staged more than once the last wins. What is counted is what each of
 * the intents would have found, had they been written one after the other.
 */
export async function upsertStage(
  context: WriteContext,
  table: Table,
  stage: Stage,
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts[] }> {
  const files = filesOf(context, table)
  const there = await keysThere(context.scratch, table, files, stage)
  const { rows, keys, ranges } = stage.measured
  const counts =
    stage.intents === 1
      ? [{ ...NO_ROWS, inserted: keys - there.rows, updated: there.rows }]
      : await countsOfEach(table, stage, there)
  const kept = await withoutKeys(context, table, files, there)
  const last = keys === rows ? stage.rows : await lastOfEachKey(table, stage)
  const added = await writeRows(context, table, last, rowsIn(kept), keys === rows ? { rows, ranges } : undefined)
  return { files: [...kept, ...added], counts }
}

/** The staged rows without those whose key comes again behind them. */
async function lastOfEachKey(table: Table, stage: Stage): Promise<LazyDataFrame> {
  const place = ['_intent', '_row']
  const isLast = keyStruct(table).isFirstDistinct()
  const others: LazyDataFrame[] = []
  for await (const { rows } of sharesByKey(table, stage, place)) {
    const backwards = rows.reverse().withColumns(isLast.alias('_last'))
    const earlier = backwards.filter(pl.col('_last').not()).select(...place)
    others.push((await earlier.collect()).lazy())
  }
  return stage.rows.join(pl.concat(others), { on: place, how: 'anti', maintainOrder: 'left' })
}

/** Puts the staged rows in place of all. @throws TeatreeError KEY_CONFLICT where a key is staged twice */
export async function replaceStage(
  context: WriteContext,
  table: Table,
  stage: Stage,
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts }> {
  const nothing = await keysThere(context.scratch, table, [], stage)
  for (const error of (await keyConflicts(table, stage, nothing)).values()) throw error
  const files = await writeRows(context, table, stage.rows, 0, stage.measured)
  return { files, counts: { ...NO_ROWS, inserted: rowsIn(files), deleted: rowsIn(filesOf(context, table)) } }
}

/** Removes the rows that have a key of the stage, of which nothing but the key is looked at. */
export async function removeStage(
  context: WriteContext,
  table: Table,
  stage: Stage,
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts }> {
  const files = filesOf(context, table)
  const there = await keysThere(context.scratch, table, files, stage)
  const left = await withoutKeys(context, table, files, there)
  return { files: left, counts: { ...NO_ROWS, deleted: there.rows } }
}

/**
 * Sets the columns of `set` in the rows that the filter selects.
 * @throws TeatreeError BAD_VALUE where a row would have null in a column that is not nullable
 */
export async function updateRows(
  context: WriteContext,
  table: Table,
  { where, set }: { where: Filter; set: Row },
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts }> {
  const changed = [...table.columns.values()].filter(({ name }) => set[name] !== undefined)
  const cells = cellsOf(changed, set)
  const found = await selectedIn(context, table, where, cells !== null)
  const updated = [...found.values()].reduce((sum, { rows }) => sum + rows, 0)
  if (updated > 0) {
    for (const { name, nullable } of changed) if (!nullable && set[name] === null) throw notNull(table, name)
  }
  const { scratch } = context
  const files = await rewritten(context, table, found, async (file, { rows, which }) => {
    const copied = cells && which ? await scratch.withCells(table, file, which, cells) : null
    if (copied) return copied
    const { frame: beside, selects } = selecting(framesOf(context), table, frameOfFile(context, table, file), [where])
    const [isSelected] = selects
    if (!isSelected) throw new Error('a filter says what it selects')
    const values = changed.map(({ name, type }) => {
      const value = literalOf(type, set[name] ?? null)
      return (file.rows === rows ? value : pl.when(isSelected).then(value).otherwise(pl.col(name))).alias(name)
    })
    return scratch.write(table, beside.withColumns(...values), { rows: file.rows, ranges: file.ranges })
  })
  return { files, counts: { ...NO_ROWS, updated } }
}

/** What is set, where each of it has a place of its own in a file; null where something has not: nulls, texts and booleans. */
function cellsOf(changed: readonly Column[], set: Row): Cells | null {
  const cells = new Map<string, Buffer>()
  for (const { name, type } of changed) {
    const value = set[name] ?? null
    const cell = value === null ? null : cellOf(type, value)
    if (!cell) return null
    cells.set(name, cell)
  }
  return cells
}

/** Deletes the rows that the filter selects. */
export async function deleteRows(
  context: WriteContext,
  table: Table,
  where: Filter,
): Promise<{ files: readonly ScratchFile[]; counts: RowCounts }> {
  const found = await selectedIn(context, table, where, false)
  const files = await withoutRows(context, table, found, (_, frame) => {
    const { frame: beside, selects } = selecting(framesOf(context), table, frame, [where])
    // What a filter is null for, it does not select.
    return selects.reduce((rest, isSelected) => rest.filter(isSelected.fillNull(pl.lit(false)).not()), beside)
  })
  return { files, counts: { ...NO_ROWS, deleted: [...found.values()].reduce((sum, { rows }) => sum + rows, 0) } }
}

/** Rows of a file that are to be written in another way. */
interface Touched {
  rows: number
  /** Which these are, from 0 and ascending; null where nobody asks, or there are too many to be held in memory. */
  which: Uint32Array | null
}

const MAX_WHICH = 1 << 16
const WHICH = pl.col(ROW_OF_FILE).head(MAX_WHICH).alias('_which')
const FEW = pl
  .when(pl.col('_rows').ltEq(pl.lit(MAX_WHICH)))
  .then(pl.col('_which'))
  .otherwise(pl.lit(null))
  .alias('_which')

/** The rows that the filter selects in each file in which it selects any, by the file's name. */
async function selectedIn(
  context: WriteContext,
  table: Table,
  where: Filter,
  asksWhich: boolean,
): Promise<ReadonlyMap<string, Touched>> {
  const columns = [...table.columns.values()]
  const files = filesOf(context, table)
  const placed = files.map((file, place) => ({ file, place }))
  const all = placedFrame(columns, placed, name => context.scratch.path(name), asksWhich)
  if (!all) return new Map()
  const { frame, selects } = selecting(framesOf(context), table, all, [where])
  const found = await selects
    .reduce((rows, isSelected) => rows.filter(isSelected), frame)
    .groupBy(FILE_OF_ROW)
    .agg(ROWS, ...(asksWhich ? [WHICH] : []))
    .collect()
  return touchedIn(files, asksWhich ? found.withColumn(FEW) : found)
}

const touchedIn = (files: readonly ScratchFile[], found: DataFrame): ReadonlyMap<string, Touched> =>
  new Map(
    found.toRecords().map(({ [FILE_OF_ROW]: file, _rows, _which }) => {
      const which = _which ? Uint32Array.from(_which as unknown as number[]).sort() : null
      return [files[Number(file)]?.name ?? '', { rows: Number(_rows), which }]
    }),
  )

const frameOfFile = (context: WriteContext, table: Table, file: ScratchFile): LazyDataFrame =>
  fileFrame([...table.columns.values()], file, context.scratch.path(file.name))

/** The table's files with those in `touched` written anew, or left out where nothing is left of them. */
async function rewritten(
  context: WriteContext,
  table: Table,
  touched: ReadonlyMap<string, Touched>,
  anew: (file: ScratchFile, touched: Touched) => Promise<ScratchFile | null>,
): Promise<readonly ScratchFile[]> {
  const files: ScratchFile[] = []
  for (const file of filesOf(context, table)) {
    const found = touched.get(file.name)
    context.signal.throwIfAborted()
    const written = found ? await anew(file, found) : file
    if (written) files.push(written)
  }
  return files
}

/** Keys of what is left lie between what all of them lay: none is changed, and none is new. */
function withoutRows(
  context: WriteContext,
  table: Table,
  touched: ReadonlyMap<string, Touched>,
  left: (file: ScratchFile, frame: LazyDataFrame) => LazyDataFrame,
): Promise<readonly ScratchFile[]> {
  return rewritten(context, table, touched, async (file, { rows: gone }) => {
    const rows = file.rows - gone
    if (rows === 0) return null
    const frame = left(file, frameOfFile(context, table, file))
    return context.scratch.write(table, frame, { rows, ranges: file.ranges })
  })
}

/** The files without the rows of the keys, which are those that were found in them. */
async function withoutKeys(
  context: WriteContext,
  table: Table,
  files: readonly ScratchFile[],
  there: KeysThere,
): Promise<readonly ScratchFile[]> {
  if (there.rows === 0) return files
  const touched = touchedIn(files, await there.keys.groupBy(FILE_OF_ROW).agg(ROWS).collect())
  const keys = (file: ScratchFile) =>
    there.keys.filter(pl.col(FILE_OF_ROW).eq(pl.lit(files.indexOf(file)))).select(...table.key)
  return withoutRows(context, table, touched, (file, frame) => frame.join(keys(file), byKey(table, 'anti')))
}

async function countsOfEach(table: Table, { rows, intents }: Stage, there: KeysThere): Promise<RowCounts[]> {
  const key = keyColumns(table)
  const textOf = (row: Row) => JSON.stringify(table.key.map(name => row[name] ?? null))
  const had = new Set(rowsOf(await there.keys.select(leaving(key)).collect()).map(textOf))
  const columns = [...key, { name: '_intent', type: 'INTEGER' } as const]
  const staged = rowsOf(await rows.select(leaving(columns)).collect())
  const byIntent = Map.groupBy(staged, row => Number(row._intent))
  return Array.from({ length: intents }, (_, intent) => {
    const keys = new Set((byIntent.get(intent) ?? []).map(textOf))
    const updated = [...keys].filter(text => had.has(text)).length
    for (const text of keys) had.add(text)
    return { ...NO_ROWS, inserted: keys.size - updated, updated }
  })
}

/** The model's tables as they are by now. */
export const framesOf = (context: WriteContext): Frames => ({
  kind: context.kind,
  frame: (name: string) => {
    const table = tableOf(context.kind, name)
    return tableFrame([...table.columns.values()], filesOf(context, table), file => context.scratch.path(file))
  },
})

export const rowsIn = (files: readonly ScratchFile[]): number => files.reduce((sum, { rows }) => sum + rows, 0)
