import type { Table } from '../../kinds/kind.ts'
import { literalPath } from './imports/record-file.ts'
import { asColumns } from './snapshot-tables.ts'
import { literal } from './sql.ts'

/** The SELECT of a table whose rows are those of Parquet files, in their order; every file has all of its columns. */
export function parquetSelect(table: Pick<Table, 'name' | 'columns'>, paths: readonly string[]): string {
  if (paths.length === 0) return `SELECT ${asColumns(table, null)} WHERE FALSE`
  const files = paths.map(path => literal(literalPath(path))).join(', ')
  return `SELECT ${asColumns(table, new Set())} FROM read_parquet([${files}])`
}
