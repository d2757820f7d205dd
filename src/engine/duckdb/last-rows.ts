import type { DuckDBSql } from './sql.ts'

/**
 * The row id that the last `count` of a table's `rows` rows begin with. Rows that are added get higher ids than all before
 * them; where others have gone there are gaps, and null is answered where one is among the last.
 */
export async function firstOfLast(sql: DuckDBSql, table: string, rows: number, count: number): Promise<number | null> {
  const from = async (first: number) =>
    Number((await sql.all(`SELECT count(*) AS rows FROM ${table} WHERE rowid >= ${first}`))[0]?.rows)
  // Without gaps the ids are 0 to rows - 1: to see that takes no look at the rows.
  if ((await from(rows)) === 0) return rows - count
  const [last] = await sql.all(`SELECT max(rowid) AS last FROM ${table}`)
  const first = Number(last?.last) + 1 - count
  return (await from(first)) === count ? first : null
}
