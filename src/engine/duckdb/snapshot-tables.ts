import type { Kind, KindShape, Table } from '../../kinds/kind.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import type { TableNames } from './where-sql.ts'

/** A snapshot's tables as the kind knows them today. */
export interface SnapshotTables extends TableNames {
  /** The quoted schema that holds them all, for SQL that names them without. */
  readonly schema: string
}

/**
 * The tables of the snapshot attached as `alias`. Where it was made with another shape of the kind, views stand in for
 * them: a column or table that the snapshot lacks reads as null or empty.
 */
export async function snapshotTables(sql: DuckDBSql, kind: Kind, alias: string): Promise<SnapshotTables> {
  const stored = await storedShape(sql, alias)
  const attached = `${quoted(alias)}.main`
  if (JSON.stringify(stored) !== JSON.stringify(kind.shape)) return createViews(sql, kind, alias, stored, attached)
  return tablesIn(attached)
}

/** The tables of version 0, which has no file: they are all empty. */
export const emptyTables = (sql: DuckDBSql, kind: Kind, alias: string): Promise<SnapshotTables> =>
  createViews(sql, kind, alias, {}, '')

/** Takes away the views, if there are any. */
export const dropViews = (sql: DuckDBSql, alias: string): Promise<void> =>
  sql.run(`DROP SCHEMA IF EXISTS ${viewSchema(alias)} CASCADE`)

async function createViews(
  sql: DuckDBSql,
  kind: Kind,
  alias: string,
  stored: KindShape,
  attached: string,
): Promise<SnapshotTables> {
  const schema = viewSchema(alias)
  await sql.run(`CREATE SCHEMA ${schema}`)
  for (const table of kind.tables.values()) {
    await sql.run(`CREATE VIEW ${schema}.${quoted(table.name)} AS ${viewText(table, stored, attached)}`)
  }
  return tablesIn(schema)
}

const viewSchema = (alias: string): string => `memory.${quoted(alias)}`
const tablesIn = (schema: string): SnapshotTables => ({ schema, table: name => `${schema}.${quoted(name)}` })

/** The shape that the writer noted down. */
export async function storedShape(sql: DuckDBSql, alias: string): Promise<KindShape> {
  const [state] = await sql.all(`SELECT shape FROM ${quoted(alias)}._teatree.state`)
  if (typeof state?.shape !== 'string') throw new Error('the file is no snapshot: it does not say its shape')
  return JSON.parse(state.shape) as KindShape
}

/** A column of another type is cast: such a kind is refused for writing (KIND_CHANGED), and its versions are still read. */
export function viewText(table: Table, stored: KindShape, attached: string): string {
  const there = stored[table.name]?.columns
  const columns = [...table.columns.values()].map(({ name, type }) => {
    const value = there && Object.hasOwn(there, name) ? quoted(name) : 'NULL'
    return `CAST(${value} AS ${type}) AS ${quoted(name)}`
  })
  const from = there ? ` FROM ${attached}.${quoted(table.name)}` : ' WHERE FALSE'
  return `SELECT ${columns.join(', ')}${from}`
}
