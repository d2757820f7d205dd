import { DataType, type Field, Precision, Type } from 'apache-arrow'

/** A column of an Arrow file: `type` is DuckDB's name for what its values become. */
export interface ArrowColumn {
  name: string
  type: string
  nullable: boolean
}

export const arrowColumn = ({ name, type, nullable }: Field): ArrowColumn => ({
  name,
  type: duckdbType(type),
  nullable,
})

const TYPES: Partial<Record<Type, (type: DataType) => string>> = {
  [Type.Null]: () => 'NULL',
  [Type.Int]: type => {
    if (!DataType.isInt(type)) return 'BIGINT'
    const name = { 8: 'TINYINT', 16: 'SMALLINT', 32: 'INTEGER', 64: 'BIGINT' }[type.bitWidth as 8 | 16 | 32 | 64]
    return type.isSigned ? name : `U${name}`
  },
  [Type.Float]: type => (DataType.isFloat(type) && type.precision === Precision.DOUBLE ? 'DOUBLE' : 'FLOAT'),
  [Type.Bool]: () => 'BOOLEAN',
  [Type.Utf8]: () => 'VARCHAR',
  [Type.LargeUtf8]: () => 'VARCHAR',
  [Type.Utf8View]: () => 'VARCHAR',
  [Type.Decimal]: type => (DataType.isDecimal(type) ? `DECIMAL(${type.precision},${type.scale})` : 'DECIMAL'),
  // a date in milliseconds may have a time of day, whatever it should have
  [Type.Date]: type => (DataType.isDate(type) && type.unit === 0 ? 'DATE' : 'TIMESTAMP'),
  [Type.Timestamp]: () => 'TIMESTAMP',
  [Type.Time]: () => 'TIME',
  [Type.Binary]: () => 'BLOB',
  [Type.LargeBinary]: () => 'BLOB',
  [Type.BinaryView]: () => 'BLOB',
  [Type.FixedSizeBinary]: () => 'BLOB',
}

function duckdbType(type: DataType): string {
  if (DataType.isDictionary(type)) return duckdbType(type.dictionary)
  return TYPES[type.typeId]?.(type) ?? String(type)
}

/**
 * Why the columns of a file cannot be converted, or null. Whatever is not named here makes Polars end its process, or
 * changes the value: a duration would become a number.
 */
export function unreadable(fields: readonly Field[]): string | null {
  for (const { name, type, metadata } of fields) {
    const extension = metadata.get('ARROW:extension:name')
    if (extension !== undefined) return `${name} is of the extension type ${extension}`
    const reason = unreadableType(type)
    if (reason !== null) return `${name} is of type ${reason}`
  }
  return null
}

function unreadableType(type: DataType): string | null {
  if (DataType.isDictionary(type)) return unreadableType(type.dictionary)
  if (DataType.isDecimal(type))
    return type.bitWidth <= 128 && type.precision <= 38 && type.scale >= 0 ? null : String(type)
  const nested = [Type.List, Type.LargeList, Type.FixedSizeList, Type.Struct, Type.Map].includes(type.typeId)
  if (nested) return unreadable(type.children as Field[])
  return type.typeId in TYPES ? null : String(type)
}
