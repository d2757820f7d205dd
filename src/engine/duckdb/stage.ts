import type { Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { type DuckDBSql, literal, quoted } from './sql.ts'

/**
 * The TEMP table that rows of any origin are put into before they are written, one write at a time: the table's columns,
 * all nullable, and
 *
 *   _row     BIGINT   the row's number in its intent's rows or file, from 1
 *   _line    BIGINT?  the line of the file it begins on
 *   _intent  INTEGER  which of several intents that are written together; 0 where there is one
 */
export const STAGE = 'temp.main."staged rows"'

/** Rows as JSON travel in documents of this many: DuckDB takes a list of small documents 4 times as fast as one large. */
const ROWS_PER_DOCUMENT = 500

/** A stage with the rows of one or more intents, which are numbered in the order given. */
export async function stageRows(
  sql: DuckDBSql,
  table: Table,
  rowsOfIntents: readonly (readonly Row[])[],
): Promise<void> {
  const columns = [...table.columns.values()]
  const rows = rowsOfIntents.flatMap((rows, intent) =>
    rows.map((row, index) => {
      // Each column is named, as the strict reading asks for, also in rows from before the table had it.
      const staged: Record<string, unknown> = { _row: index + 1, _intent: intent }
      for (const { name } of columns) staged[name] = row[name] ?? null
      return staged
    }),
  )
  const documents: string[] = []
  for (let first = 0; first < rows.length; first += ROWS_PER_DOCUMENT) {
    documents.push(JSON.stringify(rows.slice(first, first + ROWS_PER_DOCUMENT)))
  }
  const types = Object.fromEntries(columns.map(({ name, type }) => [name, type as string]))
  const structure = literal(JSON.stringify([{ ...types, _row: 'BIGINT', _intent: 'INTEGER' }]))
  await sql.run(
    // Only the strict reading fails where a value is not of its type; the other one makes it null.
    `CREATE OR REPLACE TEMP TABLE ${STAGE} AS SELECT unnest(from_json_strict(document, ${structure}), recursive := true),` +
      ' NULL::BIGINT AS _line FROM (SELECT unnest($documents) AS document)',
    { documents },
  )
}

export const dropStage = (sql: DuckDBSql): Promise<void> => sql.run(`DROP TABLE IF EXISTS ${STAGE}`)

/** The key's columns, quoted: `"orderId", "line"`, or with an alias `t."orderId", t."line"`. */
export const keyList = (table: Table, alias?: string): string =>
  table.key.map(name => (alias === undefined ? quoted(name) : `${alias}.${quoted(name)}`)).join(', ')

/** That two rows have the same key, as SQL. Nulls are equal; but only a plain = lets the join prune what it scans. */
export const sameKey = (table: Table, left: string, right: string): string =>
  table.key
    .map(name => {
      const equals = table.columns.get(name)?.nullable ? 'IS NOT DISTINCT FROM' : '='
      return `${left}.${quoted(name)} ${equals} ${right}.${quoted(name)}`
    })
    .join(' AND ')
