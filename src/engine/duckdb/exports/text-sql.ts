import type { Column } from '../../../kinds/kind.ts'
import { decimalOf, type TypeName, typeName } from '../../../kinds/types.ts'
import { literal, quoted } from '../sql.ts'

/*
 * Rows as text, by DuckDB itself: it does so on its own threads, several times as fast as the event loop's could. What comes
 * of it is what an import takes and makes the same rows of.
 */

/** A column; with `isJson` its texts are JSON, which stands as it is where there is JSON. */
export type TextColumn = Column & { readonly isJson?: boolean }

/** The SQL of a row's line in CSV, with its end: an empty field is null, `""` the empty string. */
export function csvLine(columns: readonly Column[]): string {
  const fields = columns.map(({ name, type }) =>
    typeName(type) === 'VARCHAR' ? csvField(quoted(name)) : plain(name, type),
  )
  return lineOf(fields.flatMap((field, index) => (index === 0 ? [field] : [`','`, field])))
}

/** The line that names the columns. Those of a table are identifiers, those of a result may be anything. */
export const csvHeader = (columns: readonly Column[]): string =>
  `${columns.map(({ name }) => (/^$|[",\n\r]/.test(name) ? `"${name.replaceAll('"', '""')}"` : name)).join(',')}\n`

/** The SQL of a row's line in NDJSON, with its end: values as in GraphQL, decimals and 64-bit integers are strings. */
export function ndjsonLine(columns: readonly TextColumn[]): string {
  const members = columns.flatMap(({ name, type, isJson }, index) => [
    literal(`${index === 0 ? '{' : ','}${JSON.stringify(name)}:`),
    // A column that is left out would be null too; but who reads line by line wants to see it.
    `coalesce(${isJson ? quoted(name) : jsonValue(name, type)}, 'null')`,
  ])
  return lineOf([...members, `'}'`])
}

/** concat takes null for the empty text. */
const lineOf = (parts: readonly string[]): string => `concat(${[...parts, 'chr(10)'].join(', ')})`

/** Four searches are faster than one of a pattern. */
function csvField(column: string): string {
  const special = [`','`, `'"'`, 'chr(10)', 'chr(13)'].map(each => `contains(${column}, ${each})`)
  return `CASE WHEN ${[`${column} = ''`, ...special].join(' OR ')} THEN concat('"', replace(${column}, '"', '""'), '"') ELSE ${column} END`
}

/** A value in its canonical form, null where it is null. */
function plain(name: string, type: Column['type']): string {
  const column = quoted(name)
  if (typeName(type) === 'TIMESTAMP') return `strftime(${column}, '%Y-%m-%dT%H:%M:%S.%fZ')`
  const text = `CAST(${column} AS VARCHAR)`
  const decimal = decimalOf(type)
  // Where there is no place before the point, DuckDB writes none: `.5`.
  return decimal && decimal.precision === decimal.scale ? `replace(${text}, '.', '0.')` : text
}

const JSON_FORMS: Partial<Record<TypeName, (text: string, column: string) => string>> = {
  VARCHAR: (_, column) => `CAST(to_json(${column}) AS VARCHAR)`,
  INTEGER: text => text,
  BOOLEAN: text => text,
  // JSON has no word for what is not finite.
  DOUBLE: (text, column) => `CASE WHEN isfinite(${column}) THEN ${text} ELSE '"' || ${text} || '"' END`,
}

function jsonValue(name: string, type: Column['type']): string {
  const text = plain(name, type)
  return JSON_FORMS[typeName(type)]?.(text, quoted(name)) ?? `'"' || ${text} || '"'`
}
