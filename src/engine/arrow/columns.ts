import type { Column } from '../../kinds/kind.ts'
import { decimalOf, type LogicalType, type Row, type TypeName, typeName, type Value } from '../../kinds/types.ts'
import { coerce } from '../../kinds/values.ts'
import pl, {
  type DataFrame,
  type DataType,
  type Expr,
  type LazyDataFrame,
  type Series,
  seriesThrough,
} from './polars.ts'

/*
 * Logical types as Polars has them, and canonical values on their way in and out. What JavaScript cannot hold goes as
 * text: 64-bit integers would go through a double (without an error), and Polars hands out no decimals. Its casts between
 * text and decimals of up to 38 digits are exact, as long as the text is canonical: what has more places is rounded, half to even.
 */

type ColumnType = Pick<Column, 'name' | 'type'>

/** What holds a logical type in memory and in files. */
export const polarsType = (type: LogicalType): DataType => TYPES[typeName(type)](type)

const TYPES: Record<TypeName, (type: LogicalType) => DataType> = {
  VARCHAR: () => pl.Utf8,
  INTEGER: () => pl.Int32,
  BIGINT: () => pl.Int64,
  DECIMAL: type => {
    const { precision, scale } = decimalOf(type) ?? { precision: 38, scale: 0 }
    return pl.Decimal(precision, scale)
  },
  DOUBLE: () => pl.Float64,
  BOOLEAN: () => pl.Bool,
  DATE: () => pl.Date,
  TIMESTAMP: () => pl.Datetime('us'),
}

/** How values get in: as those of another type, which are then cast, where it says so `through` a third. */
interface Entrance {
  type: DataType
  through?: DataType
  enter(value: Value): Value
}
const asIs = (value: Value): Value => value
const ENTRANCES: Record<TypeName, Entrance> = {
  VARCHAR: { type: pl.Utf8, enter: asIs },
  INTEGER: { type: pl.Int32, enter: asIs },
  BIGINT: { type: pl.Utf8, enter: asIs },
  DECIMAL: { type: pl.Utf8, enter: asIs },
  DOUBLE: { type: pl.Float64, enter: asIs },
  BOOLEAN: { type: pl.Bool, enter: asIs },
  DATE: { type: pl.Int32, enter: value => Date.parse(`${value}T00:00:00Z`) / 86_400_000 },
  TIMESTAMP: { type: pl.Utf8, through: pl.Int64, enter: microsecondsOf },
}

/** A canonical instant as microseconds since 1970, which a number does not hold to the last digit. */
function microsecondsOf(instant: Value): string {
  const text = String(instant)
  return String(BigInt(Date.parse(`${text.slice(0, 23)}Z`)) * 1000n + BigInt(text.slice(23, 26)))
}

/**
 * Canonical values as a column.
 * @throws BadValue where one is no value of the type: Polars would make null of it, without a word
 */
export function seriesOf({ name, type }: ColumnType, values: readonly Value[]): Series {
  const { type: given, through, enter } = ENTRANCES[typeName(type)]
  const entered = values.map(value => (value === null ? null : enter(coerce(type, value))))
  return seriesThrough(name, entered, [given, ...(through ? [through] : []), polarsType(type)])
}

/**
 * Rows as a frame of the columns, in their order; what a row leaves out is null.
 * @throws BadValue
 */
export function frameOf(columns: readonly ColumnType[], rows: readonly Row[]): DataFrame {
  const entrances = columns.map(({ name, type }) => ({ name, type, entrance: ENTRANCES[typeName(type)] }))
  const entered = rows.map(row => {
    const values: Record<string, Value> = {}
    for (const { name, type, entrance } of entrances) {
      const value = row[name] ?? null
      values[name] = value === null ? null : entrance.enter(coerce(type, value))
    }
    return values
  })
  const schema = Object.fromEntries(entrances.map(({ name, entrance }) => [name, entrance.type]))
  const casts = entrances.map(({ name, type, entrance: { through } }) => {
    const column = pl.col(name)
    return (through ? column.cast(through, true) : column).cast(polarsType(type), true)
  })
  return pl.readRecords(entered, { schema }).select(...casts)
}

/** The same as kinds ask for it. */
export const framesFrom = (columns: Readonly<Record<string, LogicalType>>, rows: readonly Row[]): LazyDataFrame =>
  frameOf(
    Object.entries(columns).map(([name, type]) => ({ name, type })),
    rows,
  ).lazy()

/** A canonical value as an expression of the column's type. @throws BadValue */
export function literalOf(type: LogicalType, value: Value): Expr {
  if (value === null) return pl.lit(null).cast(polarsType(type))
  const { type: given, through, enter } = ENTRANCES[typeName(type)]
  const literal = pl.lit(enter(coerce(type, value))).cast(through ?? given, true)
  return literal.cast(polarsType(type), true)
}

/**
 * A canonical value as the bytes that it is in a column of a file; null of a type whose values have no place of their own.
 * @throws BadValue
 */
export function cellOf(type: LogicalType, value: Exclude<Value, null>): Buffer | null {
  const name = typeName(type)
  return CELLS[name]?.(ENTRANCES[name].enter(coerce(type, value))) ?? null
}

/** As the machine has them, the lowest byte first: Arrow's files are so, and Polars runs nowhere else. */
const bytesOf = ({ buffer }: NodeJS.TypedArray<ArrayBuffer>): Buffer => Buffer.from(buffer)
const int32 = (value: Value) => bytesOf(Int32Array.of(Number(value)))
const int64 = (value: Value) => bytesOf(BigInt64Array.of(BigInt(String(value))))
const float64 = (value: Value) => bytesOf(Float64Array.of(Number(value)))
/** Of a text with all of its scale: 12.5000 is 125000. */
const int128 = (value: Value) => {
  const unscaled = BigInt(String(value).replace('.', ''))
  return bytesOf(BigInt64Array.of(BigInt.asIntN(64, unscaled), unscaled >> 64n))
}
const CELLS: Partial<Record<TypeName, (entered: Value) => Buffer>> = {
  INTEGER: int32,
  BIGINT: int64,
  DECIMAL: int128,
  DOUBLE: float64,
  DATE: int32,
  TIMESTAMP: int64,
}

/** The columns in canonical form, as JavaScript can hold it; to be selected before `rowsOf`. */
export const leaving = (columns: readonly ColumnType[]): Expr[] =>
  columns.map(({ name, type }) => EXITS[typeName(type)]?.(pl.col(name)) ?? pl.col(name))

const asText = (column: Expr): Expr => column.cast(pl.Utf8)
const EXITS: Partial<Record<TypeName, (column: Expr) => Expr>> = {
  BIGINT: asText,
  DECIMAL: asText,
  DATE: asText,
  TIMESTAMP: column => column.dt.strftime('%Y-%m-%dT%H:%M:%S.%6fZ'),
}

/** The rows of a frame whose columns have been selected as `leaving`. */
export const rowsOf = (frame: DataFrame): Row[] => frame.toRecords() as Row[]
