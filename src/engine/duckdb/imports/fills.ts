import type { Column, Table } from '../../../kinds/kind.ts'
import { shown } from '../../../kinds/values.ts'
import { type CellError, TeatreeError } from '../../../platform/errors.ts'

/** A column of what is imported: `type` is DuckDB's, or TEXT (casts.ts). */
export interface SourceColumn {
  name: string
  type: string
}

/** How a column of the table is filled: from the source's column at `position`, or where there is none, with null. */
export interface Fill {
  column: Column
  position: number | null
  type: string
}

export type Mapping = Readonly<Record<string, string>> | undefined

/** What a source is filled by: the mapping, or columns of the same name. An empty mapping is none. */
export function wantedNames(table: Table, mapping: Mapping): ReadonlyMap<string, string> {
  const entries = Object.entries(mapping ?? {})
  return new Map(entries.length > 0 ? entries : [...table.columns.keys()].map(name => [name, name]))
}

/**
 * Which column of the source fills which column of the table. With a mapping, what it does not name stays unused. Without one
 * a column of the source that the table does not know is refused: nobody said that it may be lost.
 * @throws TeatreeError BAD_VALUE with a cell for each column at fault
 */
export function chooseFills(table: Table, mapping: Mapping, source: readonly SourceColumn[]): Fill[] {
  const wanted = wantedNames(table, mapping)
  const mapped = Object.keys(mapping ?? {}).length > 0
  const positions = new Map(source.map(({ name }, position) => [name, position]))
  const faults: CellError[] = []
  for (const [column, from] of wanted) {
    if (!table.columns.has(column)) faults.push({ column, message: `the table ${table.name} has no such column` })
    else if (mapped && !positions.has(from)) faults.push({ column, message: lacks(from, source) })
  }
  if (!mapped) {
    for (const { name } of source) {
      if (!table.columns.has(name)) faults.push({ column: name, message: extra(table) })
    }
  }
  const fills = [...table.columns.values()].map((column): Fill => {
    const from = wanted.get(column.name)
    const position = (from === undefined ? undefined : positions.get(from)) ?? null
    if (position === null && !column.nullable && !faults.some(fault => fault.column === column.name)) {
      const message = mapped
        ? 'it is required, and the mapping does not fill it'
        : `it is required; ${lacks(column.name, source)}`
      faults.push({ column: column.name, message })
    }
    return { column, position, type: (position === null ? undefined : source[position]?.type) ?? 'VARCHAR' }
  })
  if (faults.length > 0) throw badColumns(faults)
  return fills
}

export function badColumns(faults: readonly CellError[]): TeatreeError {
  const [first] = faults
  const more = faults.length > 1 ? `, and ${faults.length - 1} more` : ''
  return new TeatreeError('BAD_VALUE', `column ${shown(first?.column)}: ${first?.message}${more}`, { cells: faults })
}

export const extra = (table: Table): string =>
  `the table ${table.name} has no such column; give a mapping that leaves it out`

export function lacks(name: string, source: readonly SourceColumn[]): string {
  const names = source.slice(0, 50).map(column => shown(column.name))
  return `there is no column ${shown(name)} to fill it from, only ${names.join(', ') || 'none at all'}`
}
