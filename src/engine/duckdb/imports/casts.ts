import { decimalOf, type LogicalType, typeName } from '../../../kinds/types.ts'
import { fromText, inYears, soundLength, soundText } from './text-casts.ts'

/** The type, beside DuckDB's, of text that has been looked at byte by byte: it holds no U+0000. */
export const TEXT = 'TEXT'

/**
 * SQL for the value of a column of DuckDB's type `source` as the logical type; null where it would not survive the way
 * there and back. `operand` is an SQL operand, evaluated more than once.
 */
export function exactCast(operand: string, source: string, type: LogicalType): string {
  const name = typeName(type)
  if (source === TEXT) return name === 'VARCHAR' ? soundLength(operand) : fromText(operand, type)
  const text = `CAST(${operand} AS VARCHAR)`
  const family = familyOf(source)
  if (family === 'text') return fromText(source === 'VARCHAR' ? operand : text, type)
  const never = `CAST(NULL AS ${type})`
  if (family === 'nested') return never
  if (name === 'VARCHAR') return family === 'instant' ? canonicalInstant(instantOf(operand, source)) : soundText(text)
  if (family === 'boolean') return name === 'BOOLEAN' ? operand : never
  if (family === 'exact') {
    if (name === 'INTEGER' || name === 'BIGINT' || decimalOf(type)) return thereAndBack(operand, source, type)
    return name === 'DOUBLE' ? fromText(text, type) : never
  }
  if (family === 'float') {
    // by its shortest text a float is the decimal that its writer meant
    if (name === 'INTEGER' || name === 'BIGINT' || decimalOf(type)) return fromText(text, type)
    return name === 'DOUBLE' ? `CASE WHEN isfinite(${operand}) THEN CAST(${operand} AS DOUBLE) + 0 END` : never
  }
  if (family === 'date') {
    const inRange = `CASE WHEN ${inYears(operand, 'DATE')} THEN CAST(${operand} AS ${type}) END`
    return name === 'DATE' || name === 'TIMESTAMP' ? inRange : never
  }
  if (family === 'instant') {
    const instant = instantOf(operand, source)
    const inRange = `CASE WHEN ${inYears(instant, 'TIMESTAMP')} THEN ${instant} END`
    if (name === 'TIMESTAMP') return inRange
    return name === 'DATE' ? thereAndBack(`(${inRange})`, 'TIMESTAMP', 'DATE') : never
  }
  return never
}

type Family = 'text' | 'boolean' | 'exact' | 'float' | 'date' | 'instant' | 'time' | 'nested'

function familyOf(source: string): Family {
  if (/[[\]]$|^(STRUCT|MAP|UNION|LIST|BLOB|BIT|VARIANT|GEOMETRY)\b/.test(source)) return 'nested'
  if (/^(VARCHAR|JSON|UUID|ENUM\b)/.test(source)) return 'text'
  if (/^(U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|DECIMAL\(|BIGNUM)/.test(source)) return 'exact'
  if (source === 'FLOAT' || source === 'DOUBLE') return 'float'
  if (source === 'BOOLEAN') return 'boolean'
  if (source === 'DATE') return 'date'
  return source.startsWith('TIMESTAMP') ? 'instant' : 'time'
}

const thereAndBack = (operand: string, source: string, type: LogicalType): string =>
  source === type
    ? operand
    : `CASE WHEN TRY_CAST(TRY_CAST(${operand} AS ${type}) AS ${source}) = ${operand} THEN TRY_CAST(${operand} AS ${type}) END`

/** As TIMESTAMP, in UTC whatever the session's time zone; null for what is finer than a microsecond, and for infinity. */
function instantOf(operand: string, source: string): string {
  if (source === 'TIMESTAMP') return operand
  if (source === 'TIMESTAMP WITH TIME ZONE')
    return `CASE WHEN isfinite(${operand}) THEN make_timestamp(epoch_us(${operand})) END`
  return thereAndBack(operand, source, 'TIMESTAMP')
}

/** The form that instants have everywhere in the platform. */
const canonicalInstant = (instant: string): string =>
  `CASE WHEN ${inYears(instant, 'TIMESTAMP')} THEN strftime(${instant}, '%Y-%m-%dT%H:%M:%S.%fZ') END`
