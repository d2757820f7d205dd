import type { KindShape } from '../../kinds/kind.ts'
import { isLogicalType, type LogicalType } from '../../kinds/types.ts'
import { TeatreeError } from '../../platform/errors.ts'
import type { ArchivedVersion } from '../engine.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'

export interface ArchivedTable {
  /** SQL for FROM. */
  source: string
  /** Quoted, in the order of the shape. */
  columns: { column: string; type: LogicalType; nullable: boolean }[]
  rows: number
}

/**
 * What an archive has of a table, held against the shape that it has to be of.
 * @throws TeatreeError BAD_FILE
 */
export async function checkArchived(
  sql: DuckDBSql,
  tables: ArchivedVersion['tables'],
  name: string,
  shape: KindShape[string],
): Promise<ArchivedTable> {
  const archived = tables[name]
  if (!archived) throw badFile(`the archive has no table ${name}`)
  const columns = Object.entries(shape.columns).map(([column, text]) => {
    const type = text.replace(/\?$/, '')
    // It becomes a part of the statement, and comes from where others may write.
    if (!isLogicalType(type)) throw badFile(`column ${name}.${column} is of no type that there is`)
    return { column: quoted(column), type, nullable: text.endsWith('?') }
  })
  const source = `read_parquet(${literal(archived.path)})`
  const found = await sql.all(`SELECT column_name AS name, column_type AS type FROM (DESCRIBE SELECT * FROM ${source})`)
  const held = found.map(({ name, type }) => `${quoted(String(name))} ${type}`)
  const wanted = columns.map(({ column, type }) => `${column} ${type}`)
  if (new Set(held).symmetricDifference(new Set(wanted)).size > 0)
    throw badFile(`the archive of table ${name} has other columns than its manifest says`)
  return { source, columns, rows: archived.rows }
}

/** @throws TeatreeError BAD_FILE */
export function checkRows(name: string, rows: number, expected: number): void {
  if (rows !== expected) throw badFile(`the archive of table ${name} has ${rows} rows instead of ${expected}`)
}

const badFile = (what: string) => new TeatreeError('BAD_FILE', what)
