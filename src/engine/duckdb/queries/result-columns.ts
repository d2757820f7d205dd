import { isLogicalType, type LogicalType } from '../../../kinds/types.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import type { ResultColumn } from '../../engine.ts'
import { quoted } from '../sql.ts'

/*
 * A result is a table of logical types, as every other table is, so that all formats have it alike. What a SELECT makes
 * of another type is kept as the one that holds all of it: a wider number, an instant, or text.
 */

const WIDER: Readonly<Record<string, LogicalType>> = {
  TINYINT: 'INTEGER',
  SMALLINT: 'INTEGER',
  UTINYINT: 'INTEGER',
  USMALLINT: 'INTEGER',
  UINTEGER: 'BIGINT',
  UBIGINT: 'DECIMAL(20,0)',
  HUGEINT: 'DECIMAL(38,0)',
  UHUGEINT: 'DECIMAL(38,0)',
  FLOAT: 'DOUBLE',
  TIMESTAMP_S: 'TIMESTAMP',
  TIMESTAMP_MS: 'TIMESTAMP',
  TIMESTAMP_NS: 'TIMESTAMP',
  // The sessions' time zone is UTC.
  'TIMESTAMP WITH TIME ZONE': 'TIMESTAMP',
}

/** Those whose values have parts. (An enum's name may hold anything.) */
const isNested = (type: string): boolean =>
  type === 'VARIANT' || (!type.startsWith('ENUM') && /\]$|^(STRUCT|MAP|UNION)\(/.test(type))

/** More than any table that somebody reads; each costs whoever answers with it something, in every row. */
const MAX_COLUMNS = 1_000

/**
 * Columns of a result by what DuckDB says of them: its name of the type, and the alias of that (`JSON`).
 * @throws TeatreeError RESULT_TOO_LARGE
 */
export function resultColumns(
  columns: readonly { name: string; type: string; alias: string | undefined }[],
): ResultColumn[] {
  if (columns.length > MAX_COLUMNS)
    throw new TeatreeError('RESULT_TOO_LARGE', `The result has more than ${MAX_COLUMNS} columns; select less.`)
  const names = new Set<string>()
  return columns.map(({ name, type, alias }) => {
    const isJson = alias === 'JSON' || isNested(type)
    const stored = isJson ? 'VARCHAR' : (WIDER[type] ?? (isLogicalType(type) ? type : 'VARCHAR'))
    return { name: unique(name, names), type: alias ?? type, stored, isJson, nullable: true }
  })
}

/** As DuckDB and Parquet tell names apart: whatever their case. */
function unique(name: string, taken: Set<string>): string {
  let free = name
  for (let count = 1; taken.has(free.toLowerCase()); count++) free = `${name}_${count}`
  taken.add(free.toLowerCase())
  return free
}

/** The SELECT list that makes such columns of `c1`, `c2` …, as which a statement's columns are known. */
export const storedColumns = (columns: readonly ResultColumn[]): string =>
  columns.map((column, index) => `${stored(column, `c${index + 1}`)} AS ${quoted(column.name)}`).join(', ')

function stored({ type, stored: as, isJson }: ResultColumn, from: string): string {
  if (isJson) return `CAST(to_json(${from}) AS VARCHAR)`
  return type === 'BLOB' ? `base64(${from})` : `CAST(${from} AS ${as})`
}
