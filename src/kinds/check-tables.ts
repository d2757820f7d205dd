import type { ColumnSpec, KindDefinition, ReferenceSpec, TableSpec } from './definition.ts'
import type { Column, Table } from './kind.ts'
import { COLUMN_NAMES } from './reserved.ts'
import { broken, checkIdentifier, Scope } from './scope.ts'
import { isLogicalType } from './types.ts'

/** The tables of a definition, read and checked. @throws UsageError */
export function readTables(at: string, { tables: specs }: KindDefinition): Map<string, Table> {
  const tables = new Map(
    Object.entries(specs).map(([name, spec]) => [name, readTable(`${at}, tables.${name}`, name, spec)]),
  )
  if (tables.size === 0) broken(`${at}, tables`, 'a kind has at least one table')
  for (const table of tables.values()) {
    const place = `${at}, tables.${table.name}.references`
    for (const reference of table.references) checkReference(`${place}.${reference.as}`, tables, table, reference)
  }
  return tables
}

/**
 * Columns of a table or of a result, read and checked.
 * @param scope names that are taken beside them, and to which theirs are added
 * @throws UsageError
 */
export function readColumns(
  at: string,
  specs: Readonly<Record<string, ColumnSpec>>,
  scope = new Scope(COLUMN_NAMES),
): Map<string, Column> {
  const columns = new Map<string, Column>()
  for (const [name, spec] of Object.entries(specs)) {
    const place = `${at}.${name}`
    checkIdentifier(place, name)
    scope.claim(place, name, `column ${name}`)
    const { type: written, description } = typeof spec === 'string' ? { type: spec, description: undefined } : spec
    const nullable = written.endsWith('?')
    const type = nullable ? written.slice(0, -1) : written
    if (!isLogicalType(type)) return broken(place, `${JSON.stringify(written)} is no logical type`)
    columns.set(name, { name, type, nullable, description })
  }
  if (columns.size === 0) broken(at, 'there must be at least one column')
  return columns
}

function readTable(at: string, name: string, spec: TableSpec): Table {
  checkIdentifier(at, name)
  checkIdentifier(`${at}.row`, spec.row, /^[A-Z][A-Za-z0-9_]*$/)
  const scope = new Scope(COLUMN_NAMES)
  const columns = readColumns(`${at}.columns`, spec.columns, scope)
  const references = spec.references ?? []
  for (const { as } of references) {
    const place = `${at}.references.${as}`
    checkIdentifier(place, as)
    scope.claim(place, as, `reference ${as}`)
  }
  checkKey(`${at}.key`, columns, spec.key)
  const writes = new Set(spec.writes)
  if (writes.size < spec.writes.length) broken(`${at}.writes`, 'a way of writing is named twice')
  if (writes.has('update') && columns.size === spec.key.length) {
    broken(`${at}.writes`, 'update needs a column outside the key, which cannot be set')
  }
  return { name, row: spec.row, description: spec.description, columns, key: spec.key, references, writes }
}

function checkKey(at: string, columns: ReadonlyMap<string, Column>, key: readonly string[]): void {
  if (key.length === 0) broken(at, 'a table has a key of at least one column')
  if (new Set(key).size < key.length) broken(at, 'a column is named twice')
  for (const name of key) {
    const column = columns.get(name) ?? broken(at, `there is no column ${name}`)
    if (column.type === 'DOUBLE') broken(at, `column ${name} is a DOUBLE, which is not exact enough for a key`)
  }
}

function checkReference(at: string, tables: ReadonlyMap<string, Table>, table: Table, reference: ReferenceSpec): void {
  const target = tables.get(reference.table) ?? broken(at, `there is no table ${reference.table}`)
  if (reference.columns.length !== target.key.length) {
    broken(at, `${reference.columns.length} columns cannot lead to the key of ${target.name}, ${target.key.join(', ')}`)
  }
  for (const [index, name] of reference.columns.entries()) {
    const column = table.columns.get(name) ?? broken(at, `there is no column ${name}`)
    const key = target.columns.get(target.key[index] ?? '')
    if (column.type !== key?.type) {
      broken(at, `column ${name} is ${column.type} and ${target.name}.${key?.name} is ${key?.type}; they must be alike`)
    }
  }
}
