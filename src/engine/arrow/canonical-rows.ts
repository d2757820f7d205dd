import type { Row } from '../../kinds/types.ts'
import { leaving, rowsOf } from './columns.ts'
import pl, { type DataFrame, type DataType, type Expr, type LazyDataFrame } from './polars.ts'

/** How the values of a computed column leave, by what Polars has them as; the ways out of columns.ts, and of what lies between. */
const EXITS: Readonly<Record<string, (column: Expr, name: string) => Expr>> = {
  ...Object.fromEntries(
    ['Utf8', 'String', 'Bool', 'Float64', 'Null', 'Int8', 'Int16', 'Int32', 'UInt8', 'UInt16', 'UInt32'].map(type => [
      type,
      (column: Expr) => column,
    ]),
  ),
  Int64: column => column.cast(pl.Utf8),
  UInt64: column => column.cast(pl.Utf8),
  Decimal: column => column.cast(pl.Utf8),
  Date: column => column.cast(pl.Utf8),
  Datetime: (column, name) => leaving([{ name, type: 'TIMESTAMP' }])[0] ?? column,
}

/** The name that Polars has for the type, without its parameters. */
export const variantOf = (type: DataType): string =>
  String(type)
    .replace(/^DataType\(|\)$/g, '')
    .replace(/\(.*/, '')

/**
 * Computes a frame that a kind has made, whose rows come in canonical form.
 * @throws Error that names the column, where one is of a type that no value is of: a fault of the kind
 */
export const computedRows = async (frame: LazyDataFrame): Promise<Row[]> => rowsIn(await frame.collect())

/** The rows of a frame that has been computed. */
export async function rowsIn(frame: DataFrame): Promise<Row[]> {
  const { dtypes, columns } = frame as unknown as { dtypes: DataType[]; columns: string[] }
  const exits = columns.map((name, index) => {
    const type = dtypes[index]
    const exit = type && EXITS[variantOf(type)]
    if (!exit) throw new Error(`the column ${name} is of type ${type}, which no value is of`)
    return exit(pl.col(name), name).alias(name)
  })
  return rowsOf(await frame.lazy().select(exits).collect())
}
