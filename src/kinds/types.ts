/**
 * Logical types: what a column or an argument is, whichever engine holds it. Each engine maps them to its own; GraphQL
 * maps them to its scalars (schema/). A value travels through the platform in one JSON-safe form, its canonical form:
 *
 *   VARCHAR    string            INTEGER  number       BIGINT     string of digits
 *   DECIMAL    string, full scale, "12.5000"           DOUBLE     finite number
 *   BOOLEAN    boolean           DATE     "2013-01-31" TIMESTAMP  "2013-01-31T09:00:00.000000Z", always 6 places
 */
export type LogicalType =
  | 'VARCHAR'
  | 'INTEGER'
  | 'BIGINT'
  | 'DOUBLE'
  | 'BOOLEAN'
  | 'DATE'
  | 'TIMESTAMP'
  | `DECIMAL(${number},${number})`

/** A value in canonical form; null where the column is nullable. */
export type Value = string | number | boolean | null
export type Row = Readonly<Record<string, Value>>

const SIMPLE = new Set(['VARCHAR', 'INTEGER', 'BIGINT', 'DOUBLE', 'BOOLEAN', 'DATE', 'TIMESTAMP'])

/** Precision and scale of a DECIMAL; null for every other type. */
export function decimalOf(type: string): { precision: number; scale: number } | null {
  const match = /^DECIMAL\((\d{1,2}),(\d{1,2})\)$/.exec(type)
  return match ? { precision: Number(match[1]), scale: Number(match[2]) } : null
}

/** Whether the text is a logical type that every engine can hold (DECIMAL up to 38 digits). */
export function isLogicalType(text: string): text is LogicalType {
  const decimal = decimalOf(text)
  return decimal
    ? decimal.precision >= 1 && decimal.precision <= 38 && decimal.scale <= decimal.precision
    : SIMPLE.has(text)
}

/** The type without its parameters, for tables that are keyed by type. */
export type TypeName = 'VARCHAR' | 'INTEGER' | 'BIGINT' | 'DECIMAL' | 'DOUBLE' | 'BOOLEAN' | 'DATE' | 'TIMESTAMP'
export const typeName = (type: LogicalType): TypeName => type.replace(/\(.*/, '') as TypeName

/** The type of a sum over the column, exact for decimals and integers; null where there is none. */
export function sumType(type: LogicalType): LogicalType | null {
  const decimal = decimalOf(type)
  if (decimal) return `DECIMAL(38,${decimal.scale})`
  if (type === 'INTEGER' || type === 'BIGINT') return 'BIGINT'
  return type === 'DOUBLE' ? 'DOUBLE' : null
}

/** Whether a smallest and a largest value of the column say something: numbers and dates. */
export const hasExtremes = (type: LogicalType): boolean => type !== 'VARCHAR' && type !== 'BOOLEAN'
