import { type DuckDBSql, literal } from './sql.ts'

/** Row ids, the first and the last. */
export type RowRange = readonly [from: number, to: number]

/** As many rows as a row group has at most. */
const STRETCH = 122_880
/** A range is a scan of its own. */
const MOST_RANGES = 16

/**
 * Where the rows of a table may differ between two versions that are links to one base; null where it is not worth
 * looking there alone. Outside of these ranges both have, under the same row ids, what the base has:
 *
 *   row group    0    1    2    3    4
 *   base         =    =    =    =             on disk, and the same for both
 *   older        =    ~    =    =    +        ~ updated, - with rows gone, + appended: in memory, out of the WAL
 *   newer        =    ~    =    -    +        ⇒ the rows of 1, 3 and 4
 *
 * DuckDB tells which row groups have updates, and which are not on disk. It does not tell which have rows gone, so these
 * are counted, where there are any.
 */
export async function changedRows(sql: DuckDBSql, older: string, newer: string): Promise<RowRange[] | null> {
  const [was, is] = [await storageOf(sql, older), await storageOf(sql, newer)]
  const end = Math.max(was.rows, is.rows)
  if (end <= 2 * STRETCH) return null
  const changed = new Set([...was.touched, ...is.touched].flatMap(stretchesOf))
  for (const [table, { rows }] of [
    [older, was],
    [newer, is],
  ] as const) {
    for (const stretch of await stretchesWithGone(sql, table, rows)) changed.add(stretch)
  }
  const ranges = joined([...changed].sort((a, b) => a - b))
  const share = ranges.reduce((sum, [from, to]) => sum + (to - from + 1) * STRETCH, 0)
  if (share > end / 2) return null
  return ranges.map(([from, to]) => [from * STRETCH, (to + 1) * STRETCH - 1] as const)
}

/** The table narrowed to the ranges, as SQL for a FROM. */
export function rowsIn(table: string, ranges: readonly RowRange[] | null): string {
  if (ranges === null) return table
  if (ranges.length === 0) return `(SELECT * FROM ${table} WHERE FALSE)`
  return `(${ranges.map(([from, to]) => `SELECT * FROM ${table} WHERE rowid BETWEEN ${from} AND ${to}`).join(' UNION ALL ')})`
}

/** How many rows were ever stored, those that are gone too, and which of them are not as they are on disk. */
async function storageOf(sql: DuckDBSql, table: string): Promise<{ rows: number; touched: RowRange[] }> {
  const groups = await sql.all(
    `SELECT row_group_id, bool_or(has_updates OR NOT persistent) AS touched,
            sum(count) FILTER (WHERE column_path = '[0]') AS rows
       FROM pragma_storage_info(${literal(table)}) GROUP BY row_group_id ORDER BY row_group_id`,
  )
  let rows = 0
  const touched: RowRange[] = []
  for (const group of groups) {
    const from = rows
    rows += Number(group.rows)
    if (group.touched) touched.push([from, rows - 1])
  }
  return { rows, touched }
}

async function stretchesWithGone(sql: DuckDBSql, table: string, stored: number): Promise<number[]> {
  const [all] = await sql.all(`SELECT count(*) AS rows FROM ${table}`)
  if (Number(all?.rows) === stored) return []
  const counts = await sql.all(`SELECT rowid // ${STRETCH} AS stretch, count(*) AS rows FROM ${table} GROUP BY stretch`)
  const there = new Map(counts.map(({ stretch, rows }) => [Number(stretch), Number(rows)]))
  return Array.from({ length: Math.ceil(stored / STRETCH) }, (_, stretch) => stretch).filter(
    stretch => there.get(stretch) !== Math.min(STRETCH, stored - stretch * STRETCH),
  )
}

const stretchesOf = ([from, to]: RowRange): number[] => {
  const first = Math.floor(from / STRETCH)
  return Array.from({ length: Math.floor(to / STRETCH) - first + 1 }, (_, index) => first + index)
}

/** Neighbours are one range, and the nearest are too where there are more than a statement should have. */
function joined(stretches: readonly number[]): RowRange[] {
  for (let gap = 1; ; gap *= 2) {
    const ranges: [number, number][] = []
    for (const stretch of stretches) {
      const last = ranges.at(-1)
      if (last && stretch - last[1] <= gap) last[1] = stretch
      else ranges.push([stretch, stretch])
    }
    if (ranges.length <= MOST_RANGES) return ranges
  }
}
