import type { Table } from '../../../kinds/kind.ts'
import { inMemory } from '../in-memory.ts'
import { interruptible } from '../interruptible.ts'
import { parquetSelect } from '../parquet-tables.ts'
import { quoted } from '../sql.ts'

/** A row that one of two has more often than the other: its values as text, in the order of the columns. */
export interface Difference {
  in: 'first' | 'second'
  row: readonly (string | null)[]
}

/** How the rows of a table differ in two Parquet files, whatever order they are in. */
export interface Differences {
  /** How many rows there are in each. */
  rows: readonly [number, number]
  /** Rows that are in one of the two alone; one that has another value counts in both. */
  different: number
  /** The first of these, by key. */
  examples: Difference[]
}

const MAX_EXAMPLES = 5

/**
 * Compares every cell of every row; a null is equal to a null.
 * @param spill a folder of its own, for what does not fit into memory
 */
export function differencesOf(
  table: Table,
  files: readonly [string, string],
  { spill, signal }: { spill: string; signal: AbortSignal },
): Promise<Differences> {
  const columns = [...table.columns.keys()].map(quoted)
  const row = columns.join(', ')
  const [first, second] = files.map(path => parquetSelect(table, [path]))
  // Of a row that both have as often nothing is left; a join would take their keys to be unique. No column has a space in its name.
  const counted = `
    SELECT ${row}, count(*) FILTER (WHERE "in first") AS "of first", count(*) FILTER (WHERE NOT "in first") AS "of second"
    FROM (SELECT ${row}, true AS "in first" FROM (${first}) UNION ALL SELECT ${row}, false FROM (${second}))
    GROUP BY ${row}`
  return inMemory(spill, (sql, connection) =>
    interruptible(connection, signal, async () => {
      const [all] = await sql.all(`
        SELECT coalesce(sum("of first"), 0) AS first, coalesce(sum("of second"), 0) AS second,
          coalesce(sum(abs("of first" - "of second")), 0) AS different FROM (${counted})`)
      const different = Number(all?.different)
      const examples =
        different === 0
          ? []
          : await sql.all(`
              SELECT ${columns.map(name => `${name}::VARCHAR AS ${name}`).join(', ')}, "of first" > "of second" AS "is first"
              FROM (${counted}) AS counted WHERE "of first" <> "of second"
              ORDER BY ${table.key.map(name => `counted.${quoted(name)} NULLS LAST`).join(', ')}, "is first" DESC
              LIMIT ${MAX_EXAMPLES}`)
      return {
        rows: [Number(all?.first), Number(all?.second)] as const,
        different,
        examples: examples.map(
          ({ 'is first': isFirst, ...row }): Difference => ({
            in: isFirst === true ? 'first' : 'second',
            row: Object.values(row).map(value => (value === null ? null : String(value))),
          }),
        ),
      }
    }),
  )
}
