import { decimalOf, type LogicalType, type TypeName, typeName } from '../../kinds/types.ts'
import type { Fill } from '../duckdb/imports/fills.ts'
import type { RecordsOfText, Source } from '../duckdb/imports/source.ts'
import { polarsType } from './columns.ts'
import { literalPath } from './frames.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'

/*
 * What a text means is said once, by DuckDB (duckdb/imports/text-casts.ts), in all the forms that it may have. But where a cell
 * is written just as its value is, there is nothing to be said: what comes back from the cast is the text itself. Of such
 * records Polars makes frames as it reads them, at a third of the price.
 */

/**
 * Casts the records of a source into an Arrow file at `to`, as long as every cell is written as its value is and none is
 * missing: then they are a frame of the table's columns, `_row` and `_line`, in their order. Else, and of other sources, null.
 */
export async function castAsWritten(
  { text, fills, records, nested }: Source,
  to: string,
): Promise<LazyDataFrame | null> {
  if (!text || nested) return null
  const casts = fills.map(({ column, position }) => (position === null ? ABSENT : CASTS[typeName(column.type)]))
  if (!casts.every(cast => cast !== undefined)) return null
  const cells = fills.map((fill, index) => cellOf(fill, index, casts[index] ?? ABSENT))
  const isFaulty = cells.map(({ isFaulty }) => isFaulty).reduce((any, next) => any.or(next))
  const rows = recordsOf(text)
    .withColumns(...cells.map(({ value }) => value))
    .select(
      ...fills.map(({ column }, index) => pl.col(valueName(index)).alias(column.name)),
      ...(text.isNumbered ? [pl.col('_row'), pl.col('_line')] : []),
      isFaulty.alias('_faulty'),
    )
  try {
    await rows.sinkIpc(to, { compression: 'uncompressed', maintainOrder: true }).collect()
  } catch {
    // What Polars cannot read, or there is no room for, DuckDB says more of.
    return null
  }
  const cast = pl.scanIPC(literalPath(to))
  const found = cast.select(pl.col('_faulty').any().alias('faulty'), pl.len().cast(pl.Int32).alias('rows'))
  const [row] = (await found.collect()).toRecords()
  if (row?.faulty === true || Number(row?.rows) !== records) return null
  return text.isNumbered ? cast : numbered(cast)
}

/** Rows that are each a line behind a header. */
function numbered(rows: LazyDataFrame): LazyDataFrame {
  const row = pl.col('_row').cast(pl.Int64)
  const plus = (count: number) => row.add(pl.lit(count).cast(pl.Int64))
  return rows.withRowIndex('_row').withColumns(plus(1).alias('_row'), plus(2).alias('_line'))
}

/** All fields are text; an empty one is null, and "" the empty string. */
const recordsOf = ({ path, delimiter, fields, isNumbered }: RecordsOfText): LazyDataFrame => {
  const names = Array.from({ length: fields }, (_, index) => `c${index}`)
  const texts = Object.fromEntries(names.map(name => [name, pl.Utf8]))
  return pl.scanCSV(literalPath(path), {
    hasHeader: !isNumbered,
    sep: delimiter,
    quoteChar: '"',
    schema: isNumbered ? { _row: pl.Int64, _line: pl.Int64, ...texts } : texts,
    missingUtf8IsEmptyString: false,
    truncateRaggedLines: false,
    raiseIfEmpty: false,
  })
}

/** The value of a text, and whether that is written in this way: null, or false, where it is not. */
type Cast = (text: Expr, type: LogicalType) => { value: Expr; isSame(value: Expr): Expr }

const ABSENT: Cast = (_, type) => ({ value: pl.lit(null).cast(polarsType(type)), isSame: () => pl.lit(true) })

const written = (value: Expr): Expr => value.cast(pl.Utf8)
const whole: Cast = (text, type) => ({
  value: text.cast(polarsType(type)),
  isSame: value => written(value).eq(text),
})

const DAY = '^[0-9]{4}-[0-9]{2}-[0-9]{2}$'

/** So many characters are no more than the bytes that a VARCHAR may have. */
const SOME_CHARACTERS = 2 ** 18

/** Of what has many ways to be written, DOUBLE and TIMESTAMP, there are none. */
const CASTS: Partial<Record<TypeName, Cast>> = {
  VARCHAR: text => ({ value: text, isSame: () => text.str.lengths().ltEq(pl.lit(SOME_CHARACTERS)) }),
  INTEGER: whole,
  BIGINT: whole,
  // '12.5' is the beginning of '12.5000'; and what has more places than the column is the beginning of nothing.
  DECIMAL: (text, type) =>
    decimalOf(type)?.scale === 0
      ? whole(text, type)
      : {
          value: text.cast(polarsType(type)),
          isSame: value => written(value).str.startsWith(text).and(text.str.endsWith('.').not()),
        },
  BOOLEAN: text => ({
    value: text.eq(pl.lit('true')),
    isSame: value => value.or(text.eq(pl.lit('false'))),
  }),
  // So many digits are read in one way. To write the date again would take longer than to read it. Polars has a year 0.
  DATE: text => ({
    value: text.str.strptime(pl.Date, '%Y-%m-%d'),
    isSame: value => value.isNotNull().and(text.str.contains(DAY)).and(text.str.startsWith('0000').not()),
  }),
}

const valueName = (index: number) => `v${index}`

/** The cell's value, and whether it is at fault, which is never null. */
function cellOf({ column, position }: Fill, index: number, cast: Cast): { value: Expr; isFaulty: Expr } {
  const text = pl.col(`c${position}`)
  const { value, isSame } = cast(text, column.type)
  const name = valueName(index)
  const isOther = isSame(pl.col(name)).fillNull(pl.lit(false)).not()
  if (position === null) return { value: value.alias(name), isFaulty: pl.lit(!column.nullable) }
  const isFaulty = column.nullable ? text.isNotNull().and(isOther) : isOther
  return { value: value.alias(name), isFaulty }
}
