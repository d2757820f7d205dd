import type { Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { MAX_CELLS, type TeatreeError } from '../../platform/errors.ts'
import { type Candidate, conflictsAmong } from '../key-conflicts.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import { keyList, STAGE, sameKey } from './stage.ts'

/** What a staged key must not be: twice in the stage, and for an append, in the table. */
export type Against = 'stage' | 'stage and table'

/**
 * Which of the staged intents cannot be appended, with the error for each: those that have a key twice, or that is in
 * the table, or in an intent before them that can be appended. Nothing is written.
 *
 * The joins scan the table against the stage as their small side: the smallest and largest staged keys then leave out
 * most of a table whose keys grow (1 to 2 ms at 5 million rows), which a join written the other way around never does.
 */
export async function keyConflicts(
  sql: DuckDBSql,
  table: Table,
  against: Against,
  intents: number,
): Promise<Map<number, TeatreeError>> {
  if (!(await anyConflict(sql, table, against))) return new Map()
  return conflictsAmong(table, await conflictRows(sql, table, against, intents === 1), intents)
}

/** Whether there may be one: what looks for the rows finds out if there is. */
async function anyConflict(sql: DuckDBSql, table: Table, against: Against): Promise<boolean> {
  const inTable = `EXISTS (SELECT 1 FROM ${quoted(table.name)} t SEMI JOIN ${STAGE} s ON ${sameKey(table, 't', 's')})`
  const [found] = await sql.all(
    `SELECT ${sameTwice(STAGE, keyHash(table))}${against === 'stage' ? '' : ` OR ${inTable}`} AS conflict`,
  )
  return found?.conflict === true
}

/** Whether rows of a table have a key twice. */
export async function isKeyTwice(sql: Pick<DuckDBSql, 'all'>, table: Table, rows: string): Promise<boolean> {
  for (const twice of [hashTwice(rows, table), sameTwice(rows, keyList(table))]) {
    const [found] = await sql.all(`SELECT ${twice} AS twice`)
    if (found?.twice !== true) return false
  }
  return true
}

const sameTwice = (rows: string, same: string): string =>
  `EXISTS (SELECT 1 FROM ${rows} GROUP BY ${same} HAVING count(*) > 1)`

/**
 * Looked for in shares of the hashes, side by side: DuckDB reads rows of the transaction under way with one thread, and groups them
 * the slower the more groups there are. Each share reads all rows, so that they are few.
 */
function hashTwice(rows: string, table: Table): string {
  const hashes = `(SELECT ${keyHash(table)} AS hash FROM ${rows})`
  const shares = Array.from({ length: SHARES }, (_, share) => `${hashes} WHERE hash % ${SHARES} = ${share}`)
  return shares.map(share => sameTwice(share, 'hash')).join(' OR ')
}

const SHARES = 2

/** Keys with different hashes are different, and groups of hashes take a part of the time and memory that those of keys do. */
const keyHash = (table: Table): string => `hash(${keyList(table)})`

/**
 * The staged rows whose key is in the table or staged more than once, in order. Of a single intent, which may be a file
 * of millions of rows, only those at fault, and no more than an error names.
 */
async function conflictRows(sql: DuckDBSql, table: Table, against: Against, single: boolean): Promise<Candidate[]> {
  const inTable =
    against === 'stage'
      ? `SELECT ${keyList(table)} FROM ${STAGE} LIMIT 0`
      : `SELECT DISTINCT ${keyList(table, 't')} FROM ${quoted(table.name)} t SEMI JOIN ${STAGE} s ON ${sameKey(table, 't', 's')}`
  const keys = table.key.map((name, index) => `s.${quoted(name)} AS "key ${index}"`)
  // Names with an underscore are no column's.
  const rows = await sql.all(
    `WITH there AS (${inTable}),
     numbered AS (
       SELECT *, row_number() OVER same AS _nth, count(*) OVER (PARTITION BY ${keyList(table)}) AS _copies
       FROM ${STAGE} WINDOW same AS (PARTITION BY ${keyList(table)} ORDER BY _intent, _row))
     SELECT _intent, _row, _line, _nth, ${keys.join(', ')}, t._there IS TRUE AS _there
     FROM numbered s LEFT JOIN (SELECT *, TRUE AS _there FROM there) t ON ${sameKey(table, 's', 't')}
     WHERE t._there OR ${single ? '_nth > 1' : '_copies > 1'}
     ORDER BY _intent, _row ${single ? `LIMIT ${MAX_CELLS}` : ''}`,
  )
  return rows.map(row => candidate(table, row))
}

const candidate = (table: Table, row: Row): Candidate => ({
  intent: Number(row._intent),
  row: Number(row._row),
  line: row._line == null ? null : Number(row._line),
  key: table.key.map((_, index) => row[`key ${index}`] ?? null),
  there: row._there === true,
  nth: Number(row._nth),
})
