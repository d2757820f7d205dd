import type { KindShape, Table } from '../../kinds/kind.ts'
import { columnsLacked } from '../older-shapes.ts'
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

const createViews = (
  sql: DuckDBSql,
  kind: TablesOfKind,
  alias: string,
  stored: KindShape,
  attached: string,
): Promise<SnapshotTables> => viewsOf(sql, kind, alias, table => viewText(table, stored, attached))

/** Views with the kind's tables, each by the SELECT that stands for it. */
export async function viewsOf(
  sql: DuckDBSql,
  kind: Pick<TablesOfKind, 'tables'>,
  alias: string,
  select: (table: Pick<Table, 'name' | 'columns'>) => string,
): Promise<SnapshotTables> {
  const schema = viewSchema(alias)
  await sql.run(`CREATE SCHEMA ${schema}`)
  for (const table of kind.tables.values())
    await sql.run(`CREATE VIEW ${schema}.${quoted(table.name)} AS ${select(table)}`)
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
 * @throws TeatreeError KIND_CHANGED
 */
export function viewText(table: Pick<Table, 'name' | 'columns'>, stored: KindShape, attached: string): string {
  const lacked = columnsLacked(table, stored)
  const from = lacked ? ` FROM ${attached}.${quoted(table.name)}` : ' WHERE FALSE'
  return `SELECT ${asColumns(table, lacked)}${from}`
}

/** The columns of the kind, each of its type; those lacked, or with null all, are null. */
export const asColumns = ({ columns }: Pick<Table, 'columns'>, lacked: ReadonlySet<string> | null): string =>
  [...columns.values()]
    .map(({ name, type }) => {
      const value = lacked === null || lacked.has(name) ? 'NULL' : quoted(name)
      return `CAST(${value} AS ${type}) AS ${quoted(name)}`
    })
    .join(', ')
