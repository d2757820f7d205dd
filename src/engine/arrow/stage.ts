import type { Column, Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { BadValue } from '../../kinds/values.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { frameOf } from './columns.ts'
import { type Measured, measure } from './key-measures.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import type { Compute } from './streamed-frames.ts'

/**
 * Rows of any origin before they are written: the table's columns, and
 *
 *   _row     the row's number in its intent's rows or file, from 1
 *   _line    the line of the file it begins on, or null
 *   _intent  which of several intents that are written together; 0 where there is one
 *
 * in the order of `_intent` and `_row`. Names with an underscore are no column's.
 */
export interface Stage {
  rows: LazyDataFrame
  intents: number
  measured: Measured
}

const STAGE_COLUMNS: readonly Pick<Column, 'name' | 'type'>[] = [
  { name: '_row', type: 'BIGINT' },
  { name: '_line', type: 'BIGINT' },
  { name: '_intent', type: 'INTEGER' },
]

/**
 * The rows of one or more intents, which are numbered in the order given.
 * @throws TeatreeError BAD_VALUE where a value is not of its column's type, or null where the column is not nullable
 */
export async function stageOf(table: Table, rowsOfIntents: readonly (readonly Row[])[]): Promise<Stage> {
  const columns = [...table.columns.values()]
  const rows = rowsOfIntents.flatMap((rows, intent) =>
    rows.map((row, index): Row => ({ ...row, _row: String(index + 1), _intent: intent })),
  )
  for (const { name, nullable } of columns) {
    if (!nullable && rows.some(row => (row[name] ?? null) === null)) throw notNull(table, name)
  }
  try {
    const frame = frameOf([...columns, ...STAGE_COLUMNS], rows).lazy()
    return { rows: frame, intents: rowsOfIntents.length, measured: await measure(table, frame) }
  } catch (error) {
    if (error instanceof BadValue) throw new TeatreeError('BAD_VALUE', error.message, { cause: error })
    throw error
  }
}

/**
 * The one intent's rows that a frame in files has, with `_row` and `_line`.
 * @param written how many they are, and what puts the hashes of many keys into a file
 */
export const stageOfFrame = async (
  table: Table,
  frame: LazyDataFrame,
  written: { rows: number; compute: Compute },
): Promise<Stage> => ({
  rows: frame.withColumns(pl.lit(0).cast(pl.Int32).alias('_intent')),
  intents: 1,
  measured: await measure(table, frame, written),
})

export const notNull = (table: Table, column: string): TeatreeError =>
  new TeatreeError('BAD_VALUE', `NOT NULL constraint failed: ${table.name}.${column}`)
