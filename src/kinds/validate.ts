import { type CellError, MAX_CELLS, TeatreeError } from '../platform/errors.ts'
import type { Argument, Arguments } from './definition.ts'
import type { Column, Kind, KindFunction, KindQuery, Table } from './kind.ts'
import { readAt, refuse } from './refuse.ts'
import type { Row, Value } from './types.ts'
import { BadValue, coerce, isRecord, shown } from './values.ts'
import { parseMutationWhere } from './where.ts'

/** Rows in one append or upsert; more travel as an import. */
export const MAX_ROWS = 10_000
/** Items in one list argument. */
export const MAX_ITEMS = 10_000

/**
 * The arguments of a function as its implementation and the ledger get them: every argument there, in the order of the
 * definition, canonical and JSON-safe; left out or null is the default, else null. A `where` stays as the client wrote
 * it, but has been read and found good.
 * @param raw the arguments by name, as GraphQL or JSON gave them
 * @throws TeatreeError BAD_VALUE that names the path (`basisPeriod.from`); and what the function's own `check` throws
 */
export function coerceArguments(
  kind: Kind,
  spec: KindFunction | KindQuery,
  raw: Readonly<Record<string, unknown>>,
): Record<string, unknown> {
  const args = coerceFields(kind, spec.arguments, raw, '')
  spec.check?.(args)
  return args
}

/**
 * One argument, or field or item of one, in canonical form.
 * @throws TeatreeError BAD_VALUE that names the path
 */
export function coerceArgument(kind: Kind, argument: Argument, raw: unknown, path: string): unknown {
  const value = raw ?? argument.default
  if (value === undefined || value === null) {
    return argument.nullable ? null : refuse(path, 'is required')
  }
  const { type } = argument
  switch (type.is) {
    case 'scalar':
      return readAt(path, () => coerce(type.type, value))
    case 'enum':
      if (typeof value === 'string' && Object.hasOwn(type.values, value)) return value
      return refuse(path, `${shown(value)} is no ${type.name}; there are ${Object.keys(type.values).join(', ')}`)
    case 'object':
      return coerceFields(kind, type.fields, value, path)
    case 'list':
      // one item alone is no list: GraphQL has made it one already, and JSON means what it says
      if (!Array.isArray(value)) return refuse(path, `${shown(value)} is no list`)
      if (value.length > MAX_ITEMS) return refuse(path, `has ${value.length} items; give at most ${MAX_ITEMS}`)
      return value.map((item, index) => coerceArgument(kind, type.of, item, `${path}[${index}]`))
    case 'model':
      if (typeof value === 'string' && /^[a-z][a-z0-9-]{0,62}$/.test(value)) return value
      return refuse(path, `${shown(value)} is no model id: lower-case letters, digits and hyphens, a letter first`)
    case 'where': {
      const table = kind.tables.get(type.table)
      if (!table) throw new Error(`kind ${kind.name} has no table ${type.table}`)
      parseMutationWhere(kind, table, value, path)
      return jsonSafe(value)
    }
  }
}

/**
 * Whole rows for an append or upsert: every column in the order of the table, canonical; left out is null.
 * @throws TeatreeError BAD_VALUE with the first cells at fault, rows counted from 1
 */
export function coerceRows(table: Table, rows: readonly unknown[]): Row[] {
  if (!Array.isArray(rows)) refuse('rows', `${shown(rows)} is no list of rows`)
  if (rows.length === 0) refuse('rows', 'the list is empty; give at least one row')
  if (rows.length > MAX_ROWS) refuse('rows', `${rows.length} rows; give at most ${MAX_ROWS}, or import them as a file`)
  const cells: CellError[] = []
  const coerced: Row[] = []
  for (const [index, row] of rows.entries()) {
    const columns = [...table.columns.values()]
    coerced.push(coerceCells(table, columns, row, (cell: CellError) => cells.push({ row: index + 1, ...cell })))
    // what comes after so many is not looked at: it would not be named
    if (cells.length >= MAX_CELLS) break
  }
  refuseCells(cells)
  return coerced
}

/**
 * The columns that an update sets, canonical; null only where the column is nullable.
 * @throws TeatreeError BAD_VALUE with the cells at fault; where nothing is set or a column of the key
 */
export function coercePatch(table: Table, set: unknown): Row {
  const given = isRecord(set) ? Object.keys(set).filter(name => set[name] !== undefined) : []
  if (isRecord(set) && given.length === 0) refuse('set', 'sets nothing; give at least one column')
  const columns = [...table.columns.values()].filter(({ name }) => given.includes(name))
  const cells: CellError[] = columns
    .filter(({ name }) => table.key.includes(name))
    .map(({ name }) => ({ column: name, message: 'is a column of the key and cannot be set' }))
  const patch = coerceCells(table, columns, set, cell => cells.push(cell))
  refuseCells(cells)
  return patch
}

/** JSON text that is the same for the same value, whatever the order of the keys in its objects. */
export function canonicalJson(value: unknown): string {
  if (typeof value === 'bigint') return `"${value}"`
  if (Array.isArray(value)) return `[${value.map(item => canonicalJson(item ?? null)).join(',')}]`
  if (!isRecord(value)) return JSON.stringify(value ?? null)
  const members = Object.keys(value)
    .filter(key => value[key] !== undefined)
    .sort()
    .map(key => `${JSON.stringify(key)}:${canonicalJson(value[key])}`)
  return `{${members.join(',')}}`
}

function coerceFields(kind: Kind, fields: Arguments, raw: unknown, path: string): Record<string, unknown> {
  const under = (name: string) => (path === '' ? name : `${path}.${name}`)
  if (!isRecord(raw)) return refuse(path || 'arguments', `${shown(raw)} is no object; there are ${namesOf(fields)}`)
  const unknown = Object.keys(raw).find(name => raw[name] !== undefined && !Object.hasOwn(fields, name))
  if (unknown !== undefined) refuse(path || 'arguments', `no field ${shown(unknown)}; there are ${namesOf(fields)}`)
  return Object.fromEntries(
    Object.entries(fields).map(([name, field]) => [name, coerceArgument(kind, field, own(raw, name), under(name))]),
  )
}

const namesOf = (fields: Arguments): string => Object.keys(fields).join(', ') || 'none'

/** The row's values for `columns`, in their order. What is wrong goes to `report`. */
function coerceCells(
  table: Table,
  columns: readonly Column[],
  row: unknown,
  report: (cell: CellError) => void,
): Record<string, Value> {
  const values: Record<string, Value> = {}
  if (!isRecord(row)) {
    report({ message: `${shown(row)} is no row; give an object with a value for each column` })
    return values
  }
  for (const name of Object.keys(row)) {
    if (table.columns.has(name) || row[name] === undefined) continue
    const names = [...table.columns.keys()].join(', ')
    report({ column: name.slice(0, 60), message: `${table.name} has no such column; there are ${names}` })
  }
  for (const { name, type, nullable } of columns) {
    const value = own(row, name) ?? null
    if (value === null) {
      if (!nullable) report({ column: name, message: `is required, and cannot be null` })
      values[name] = null
      continue
    }
    try {
      values[name] = coerce(type, value)
    } catch (error) {
      if (!(error instanceof BadValue)) throw error
      report({ column: name, message: error.message })
    }
  }
  return values
}

function refuseCells(cells: readonly CellError[]): void {
  const [first] = cells
  if (!first) return
  const place = [first.row === undefined ? null : `row ${first.row}`, first.column].filter(part => part != null)
  const count = cells.length >= MAX_CELLS ? `; and more` : cells.length > 1 ? `; and ${cells.length - 1} more` : ''
  const at = place.length > 0 ? `${place.join(', ')}: ` : ''
  throw new TeatreeError('BAD_VALUE', `${at}${first.message}${count}`, { cells })
}

/** An own property alone: a column may well be called `constructor`, which every object has. */
const own = (record: Readonly<Record<string, unknown>>, name: string): unknown =>
  Object.hasOwn(record, name) ? record[name] : undefined

/** A copy as plain JSON; a bigint becomes its digits. */
const jsonSafe = (value: unknown): unknown =>
  JSON.parse(JSON.stringify(value, (_, item) => (typeof item === 'bigint' ? String(item) : item)))
