import type { Column, KindShape, Table } from '../../kinds/kind.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import type { TableNames } from './where-sql.ts'

/** What of a kind its tables are read by. */
export interface TablesOfKind {
  readonly shape: KindShape
  readonly tables: ReadonlyMap<string, Pick<Table, 'name' | 'columns'>>
}

/** A snapshot's tables as the kind knows them today. */
export interface SnapshotTables extends TableNames {
  /** The quoted schema that holds them all, for SQL that names them without. */
  readonly schema: string
  /** Whether views stand in for them. */
  readonly areViews: boolean
}

/**
 * The tables of the snapshot attached as `alias`, which was made with the shape `stored`. Where the kind has another by
 * now, views stand in for them: a column or table that the snapshot lacks reads as null or empty.
 * @throws TeatreeError KIND_CHANGED where a column cannot be read as what it is now
 */
export async function snapshotTables(
  sql: DuckDBSql,
  kind: TablesOfKind,
  alias: string,
  stored: KindShape,
): Promise<SnapshotTables> {
  const attached = `${quoted(alias)}.main`
  if (JSON.stringify(stored) !== JSON.stringify(kind.shape)) return createViews(sql, kind, alias, stored, attached)
  return tablesIn(attached, false)
}

/** The tables of version 0, which has no file: they are all empty. */
export const emptyTables = (sql: DuckDBSql, kind: TablesOfKind, alias: string): Promise<SnapshotTables> =>
  createViews(sql, kind, alias, {}, '')

/** Takes away the views, if there are any. */
export const dropViews = (sql: DuckDBSql, alias: string): Promise<void> =>
  sql.run(`DROP SCHEMA IF EXISTS ${viewSchema(alias)} CASCADE`)

async function createViews(
  sql: DuckDBSql,
  kind: TablesOfKind,
  alias: string,
  stored: KindShape,
  attached: string,
): Promise<SnapshotTables> {
  const schema = viewSchema(alias)
  await sql.run(`CREATE SCHEMA ${schema}`)
  for (const table of kind.tables.values()) {
    await sql.run(`CREATE VIEW ${schema}.${quoted(table.name)} AS ${viewText(table, stored, attached)}`)
  }
  return tablesIn(schema, true)
}

const viewSchema = (alias: string): string => `memory.${quoted(alias)}`
const tablesIn = (schema: string, areViews: boolean): SnapshotTables => ({
  schema,
  areViews,
  table: name => `${schema}.${quoted(name)}`,
})

/**
 * The table's SELECT over one of the shape `stored`.
 * @throws TeatreeError KIND_CHANGED where a column was of another type: a cast would make up values, 8 of 7.5
 */
export function viewText(table: Pick<Table, 'name' | 'columns'>, stored: KindShape, attached: string): string {
  const there = Object.hasOwn(stored, table.name) ? stored[table.name]?.columns : undefined
  const columns = [...table.columns.values()].map(column => {
    const was = there && Object.hasOwn(there, column.name) ? there[column.name] : undefined
    if (there && !isReadable(column, was)) throw kindChanged(table, column, was)
    return `CAST(${was === undefined ? 'NULL' : quoted(column.name)} AS ${column.type}) AS ${quoted(column.name)}`
  })
  const from = there ? ` FROM ${attached}.${quoted(table.name)}` : ' WHERE FALSE'
  return `SELECT ${columns.join(', ')}${from}`
}

/** Whether it was of the same type, with nulls or without; one that was not there is null. */
const isReadable = ({ type, nullable }: Column, was: string | undefined): boolean =>
  was === undefined ? nullable : was.replace(/\?$/, '') === type

function kindChanged(table: Pick<Table, 'name'>, { name, type }: Column, was: string | undefined): TeatreeError {
  const before = was === undefined ? 'was not there' : `was ${was}`
  const difference = `column ${table.name}.${name} ${before} and is ${type}`
  return new TeatreeError('KIND_CHANGED', `the version was made before the kind changed: ${difference}`, {
    details: { differences: [difference] },
  })
}
