import type { DuckDBSql } from '../sql.ts'
import { literal } from '../sql.ts'
import { fileError } from './file-errors.ts'
import { chooseFills, type SourceColumn } from './fills.ts'
import { literalPath } from './record-file.ts'
import type { Reading, Source } from './source.ts'

/**
 * Parquet files with the same columns, one behind the other.
 * @throws TeatreeError BAD_FILE where they cannot be read, BAD_VALUE where their columns do not fill the table
 */
export async function readParquet(reading: Reading, paths: readonly string[], format = 'Parquet'): Promise<Source> {
  const files = parquetScan(paths)
  const columns = await columnsOf(reading.sql, files).catch(error => {
    throw fileError(error, format)
  })
  return {
    ...relationsOf(files, columns.length),
    fills: chooseFills(reading.table, reading.mapping, columns),
    readError: error => fileError(error, format),
  }
}

/** SQL for FROM; what stands in the path is never read as a partition. */
export const parquetScan = (paths: readonly string[]): string =>
  `read_parquet([${paths.map(path => literal(literalPath(path))).join(', ')}], hive_partitioning = false)`

/** The columns of a relation, with DuckDB's types. */
export async function columnsOf(sql: DuckDBSql, relation: string): Promise<SourceColumn[]> {
  const columns = await sql.all(`DESCRIBE SELECT * FROM ${relation}`)
  return columns.map(column => ({ name: String(column.column_name), type: String(column.column_type) }))
}

/** A relation whose columns have any names as a source's, numbered in its own order. */
export function relationsOf(relation: string, columns: number): Pick<Source, 'relation' | 'cells'> {
  const names = Array.from({ length: columns }, (_, index) => `c${index}`)
  const cells = `${relation} AS t(${names.join(', ')})`
  const numbered = `SELECT *, row_number() OVER () AS _row, CAST(NULL AS BIGINT) AS _line`
  return { relation: `(${numbered} FROM ${cells})`, cells: `(SELECT * FROM ${cells})` }
}
