import type { Kind, Table } from '../../kinds/kind.ts'
import type { Addition } from '../../kinds/shape.ts'
import { tableOf } from '../plan-tables.ts'
import { type DuckDBSql, quoted } from './sql.ts'

/** Makes the kind's tables. Keys are checked by the writes: an index on them would triple the file and every checkpoint. */
export async function createTables(sql: DuckDBSql, kind: Kind): Promise<void> {
  for (const table of kind.tables.values()) await sql.run(createTable(table))
}

/** Takes up what a kind has got since the model was made. */
export async function addToTables(sql: DuckDBSql, kind: Kind, additions: readonly Addition[]): Promise<void> {
  for (const addition of additions) {
    const table = tableOf(kind, addition.table)
    if (addition.is === 'table') await sql.run(createTable(table))
    else {
      const type = table.columns.get(addition.column)?.type
      await sql.run(`ALTER TABLE ${quoted(table.name)} ADD COLUMN ${quoted(addition.column)} ${type}`)
    }
  }
}

/** The logical types are DuckDB's own. */
function createTable({ name, columns }: Table): string {
  const lines = [...columns.values()].map(
    ({ name, type, nullable }) => `${quoted(name)} ${type}${nullable ? '' : ' NOT NULL'}`,
  )
  return `CREATE TABLE ${quoted(name)} (${lines.join(', ')})`
}
