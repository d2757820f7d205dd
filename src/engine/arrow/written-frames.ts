import type { Column, Table } from '../../kinds/kind.ts'
import { type TypeName, typeName } from '../../kinds/types.ts'
import { variantOf } from './canonical-rows.ts'
import { polarsType } from './columns.ts'
import { extentOf } from './key-ranges.ts'
import pl, { type DataFrame, type DataType, type Expr, type LazyDataFrame } from './polars.ts'
import { notNull, type Stage, stageOfFrame } from './stage.ts'
import type { Compute } from './streamed-frames.ts'

/** Which other types become the column's without losing anything: others would be rounded, or cut off, without a word. */
const WHOLE = ['Int8', 'Int16', 'Int32', 'Int64', 'UInt8', 'UInt16', 'UInt32', 'UInt64']
const LOSSLESS: Partial<Record<TypeName, readonly string[]>> = { INTEGER: WHOLE, BIGINT: WHOLE, VARCHAR: ['String'] }

/**
 * A frame that a function writes to a table, computed and with all columns of the table: what it leaves out is null.
 * @param by whose fault it is, in errors: `function computeGoals`
 * @throws TeatreeError BAD_VALUE where there is null in a column that is not nullable
 * @throws Error where a column is none of the table's, or not of its type: a fault of the kind
 */
export async function stageOfWritten(by: string, table: Table, frame: LazyDataFrame, compute: Compute): Promise<Stage> {
  const { frame: computed, rows: count } = await compute(frame)
  const form = await formOf(computed)
  const stranger = form.columns.find(name => !table.columns.has(name))
  if (stranger !== undefined)
    throw new Error(`${by} writes a column ${stranger}, which table ${table.name} does not have`)
  const columns = [...table.columns.values()]
  const rows = fitted(by, table, computed, form, columns)
  const nulls = columns.filter(({ nullable }) => !nullable).map(({ name }) => pl.col(name).isNull().any().alias(name))
  const [found] = count > 0 && nulls.length > 0 ? (await rows.select(nulls).collect()).toRecords() : []
  for (const [name, isThere] of Object.entries(found ?? {})) if (isThere) throw notNull(table, name)
  return stageOfFrame(table, numbered(rows), { rows: count, compute })
}

/** The keys in a frame, which may have other columns too: for removing rows by them, since they are not numbered, and may be there twice. */
export async function stageOfKeys(by: string, table: Table, frame: LazyDataFrame, compute: Compute): Promise<Stage> {
  const { frame: computed } = await compute(frame.select(...table.key))
  const columns = table.key.flatMap(name => table.columns.get(name) ?? [])
  const keys = fitted(by, table, computed, await formOf(computed), columns)
  const extent = await extentOf(table, keys)
  return { rows: keys, intents: 1, measured: { ...extent, keys: extent.rows } }
}

/** The columns and types of a frame that has been computed: of one that has not, nobody tells them before. */
const formOf = (computed: LazyDataFrame): Promise<DataFrame> => computed.limit(0).collect()

const numbered = (rows: LazyDataFrame): LazyDataFrame => {
  const row = pl.col('_row').cast(pl.Int64).add(pl.lit(1).cast(pl.Int64)).alias('_row')
  return rows.withRowIndex('_row').withColumns(row, pl.lit(null).cast(pl.Int64).alias('_line'))
}

function fitted(
  by: string,
  table: Table,
  frame: LazyDataFrame,
  form: DataFrame,
  columns: readonly Column[],
): LazyDataFrame {
  const { dtypes } = form as unknown as { dtypes: DataType[] }
  const given = new Map(form.columns.map((name, index) => [name, dtypes[index]]))
  return frame.select(columns.map(column => fittedColumn(by, table, column, given.get(column.name))))
}

function fittedColumn(by: string, table: Table, { name, type }: Column, given: DataType | undefined): Expr {
  const wanted = polarsType(type)
  if (given === undefined) return pl.lit(null).cast(wanted).alias(name)
  if (String(given) === String(wanted)) return pl.col(name)
  const isLossless =
    variantOf(given) === 'Null' ||
    LOSSLESS[typeName(type)]?.includes(variantOf(given)) ||
    // Of the same scale: what has too many digits is told.
    (variantOf(given) === 'Decimal' && scaleOf(given) === scaleOf(wanted))
  if (isLossless) return pl.col(name).cast(wanted, true)
  throw new Error(`${by} writes ${table.name}.${name} as ${given}, and it is ${wanted}`)
}

/** Undefined of a type that is no decimal. */
const scaleOf = (type: DataType): string | undefined => /Decimal\(\d+, ?(\d+)\)/.exec(String(type))?.[1]
