import type { Row } from '../../../kinds/types.ts'
import type { FileDescription } from '../../engine.ts'
import type { ImportFormat } from '../../files.ts'
import type { DuckDBSql } from '../sql.ts'
import { literal } from '../sql.ts'
import { arrowError } from './arrow-source.ts'
import { readCsvHeader } from './csv-header.ts'
import { fileError } from './file-errors.ts'
import { describeNdjson } from './ndjson-keys.ts'
import { columnsOf, parquetScan } from './parquet-source.ts'
import { literalPath } from './record-file.ts'

/**
 * What a file holds, for choosing a mapping: `type` is a logical type where there is one that holds all of the column's
 * values, else DuckDB's name. It reads headers and metadata, of NDJSON the first lines; `rows` is null where only reading
 * the whole file would tell.
 * @throws TeatreeError BAD_FILE where these cannot be read
 */
export async function describeFile(sql: DuckDBSql, path: string, format: ImportFormat): Promise<FileDescription> {
  const { columns, rows } = await DESCRIBE[format](sql, path)
  return { columns: columns.map(column => ({ ...column, type: logicalName(column.type) })), rows }
}

const DESCRIBE: Record<ImportFormat, (sql: DuckDBSql, path: string) => Promise<FileDescription>> = {
  PARQUET: (sql, path) =>
    describeParquet(sql, path).catch(error => {
      throw fileError(error, 'Parquet')
    }),
  ARROW: async (_, path) => {
    const { describeArrow } = await import('../../arrow/to-parquet.ts')
    return describeArrow(path).catch(error => {
      throw arrowError(error)
    })
  },
  CSV: async (_, path) => {
    const { names } = await readCsvHeader(path, new AbortController().signal)
    return { columns: names.map(name => ({ name, type: 'VARCHAR', nullable: true })), rows: null }
  },
  NDJSON: async (_, path) => ({ columns: await describeNdjson(path), rows: null }),
}

async function describeParquet(sql: DuckDBSql, path: string): Promise<FileDescription> {
  const file = literal(literalPath(path))
  const columns = await columnsOf(sql, parquetScan([path]))
  const [root, ...nodes] = await sql.all(`SELECT num_children, repetition_type FROM parquet_schema(${file})`)
  const [metadata] = await sql.all(`SELECT num_rows FROM parquet_file_metadata(${file})`)
  const required = topLevel(nodes, Number(root?.num_children ?? 0)).map(node => node.repetition_type === 'REQUIRED')
  return {
    columns: columns.map((column, index) => ({ ...column, nullable: !required[index] })),
    rows: Number(metadata?.num_rows ?? 0),
  }
}

/** The schema's nodes come depth first, each with the number of its children behind it. */
function topLevel(nodes: readonly Row[], count: number): Row[] {
  const found: Row[] = []
  for (let at = 0; found.length < count && at < nodes.length; ) {
    const node = nodes[at] as Row
    found.push(node)
    for (let open = 1; open > 0; at++) open += Number(nodes[at]?.num_children ?? 0) - 1
  }
  return found
}

/** The logical type that holds all that DuckDB's type holds, within the years 1 to 9999. */
function logicalName(type: string): string {
  if (/^(U?TINY|U?SMALL)INT$/.test(type)) return 'INTEGER'
  if (type === 'UINTEGER') return 'BIGINT'
  if (type === 'FLOAT') return 'DOUBLE'
  if (type.startsWith('TIMESTAMP')) return 'TIMESTAMP'
  return /^(UUID$|ENUM\b)/.test(type) ? 'VARCHAR' : type
}
