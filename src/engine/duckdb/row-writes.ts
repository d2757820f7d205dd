import type { Parameters } from '../../kinds/context.ts'
import type { Kind, Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import type { TeatreeError } from '../../platform/errors.ts'
import type { ImportMode } from '../engine.ts'
import type { Filter } from '../plan.ts'
import { NO_ROWS, type RowCounts } from '../row-counts.ts'
import type { ModelConnection } from './database.ts'
import { keyConflicts } from './key-conflicts.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import { dropStage, keyList, STAGE, sameKey } from './stage.ts'
import { compileFilter, ParameterSink } from './where-sql.ts'

/**
 * Rows of any origin, written in one go within the transaction under way: `fill` makes the stage of them
 * (stage.ts says its columns), having checked that no value is null where the column is not nullable.
 * @throws TeatreeError KEY_CONFLICT before anything was written, with the first cells at fault
 */
export async function stageAndWrite(options: {
  sql: DuckDBSql
  table: Table
  mode: ImportMode
  fill(): Promise<void>
}): Promise<RowCounts> {
  const { sql, table, mode, fill } = options
  await fill()
  const counts = await WRITE[mode](sql, table)
  await dropStage(sql)
  return counts
}

const WRITE: Record<ImportMode, (sql: DuckDBSql, table: Table) => Promise<RowCounts>> = {
  APPEND: async (sql, table) => {
    const { inserted, refused } = await appendStage(sql, table, 1)
    for (const error of refused.values()) throw error
    return { inserted, updated: 0, deleted: 0 }
  },
  UPSERT: async (sql, table) => {
    const [counts = NO_ROWS] = await upsertStage(sql, table, 1)
    return counts
  },
  REPLACE: replaceStage,
}

/**
 * Inserts a row that comes alone, and so cannot be among its own twice: one statement, planned once for the table. False
 * where its key is in the table, and nothing was inserted.
 */
export async function appendRow(
  { sql, statements }: Pick<ModelConnection, 'sql' | 'statements'>,
  table: Table,
  row: Row,
): Promise<boolean> {
  const columns = [...table.columns.values()]
  const params = Object.fromEntries(columns.map(({ name }, index) => [`c${index}`, row[name] ?? null]))
  const values = new Map(columns.map(({ name, type }, index) => [name, `CAST($c${index} AS ${type})`]))
  const isThere = table.key.map(name => {
    const equals = table.columns.get(name)?.nullable ? 'IS NOT DISTINCT FROM' : '='
    return `${quoted(name)} ${equals} ${values.get(name)}`
  })
  const [inserted] = await sql.again(statements, {
    text: `INSERT INTO ${quoted(table.name)} (${columns.map(({ name }) => quoted(name)).join(', ')})
      SELECT ${[...values.values()].join(', ')}
       WHERE NOT EXISTS (SELECT 1 FROM ${quoted(table.name)} WHERE ${isThere.join(' AND ')})`,
    params,
    most: 1,
  })
  return Number(inserted?.Count) === 1
}

/**
 * Inserts the staged rows, but for those of intents that a key conflict refuses: their errors, by the intent's number.
 * @param intents how many the stage has rows of
 */
export async function appendStage(
  sql: DuckDBSql,
  table: Table,
  intents: number,
): Promise<{ inserted: number; refused: ReadonlyMap<number, TeatreeError> }> {
  const refused = await keyConflicts(sql, table, 'stage and table', intents)
  if (refused.size === intents) return { inserted: 0, refused }
  return { inserted: await insertStage(sql, table, [...refused.keys()]), refused }
}

/**
 * Writes the staged rows whole; of a key that is staged more than once the last wins. What is counted is what each of
 * the intents would have found, had they been written one after the other.
 */
export async function upsertStage(sql: DuckDBSql, table: Table, intents: number): Promise<RowCounts[]> {
  const key = keyList(table)
  // One scan of the table; updating in place would rewrite every touched row group, and take twice as long.
  await sql.run(
    `CREATE OR REPLACE TEMP TABLE ${FOUND} AS SELECT t.rowid AS _found, ${keyList(table, 't')}
     FROM ${quoted(table.name)} t SEMI JOIN ${STAGE} s ON ${sameKey(table, 't', 's')}`,
  )
  const [size] = await sql.all(
    `SELECT (SELECT count(*) FROM ${STAGE}) AS staged, (SELECT count(*) FROM (SELECT DISTINCT ${key} FROM ${STAGE})) AS keys,
     (SELECT count(*) FROM ${FOUND}) AS found`,
  )
  const [staged, keys, found] = [Number(size?.staged), Number(size?.keys), Number(size?.found)]
  const counts =
    intents === 1
      ? [{ inserted: keys - found, updated: found, deleted: 0 }]
      : await countsOfIntents(sql, table, intents)
  if (keys < staged) {
    await sql.run(
      `DELETE FROM ${STAGE} WHERE rowid IN (SELECT rowid FROM (
         SELECT rowid, row_number() OVER (PARTITION BY ${key} ORDER BY _intent DESC, _row DESC) AS nth FROM ${STAGE})
       WHERE nth > 1)`,
    )
  }
  if (found > 0) await deleteFound(sql, table)
  await insertStage(sql, table)
  await sql.run(`DROP TABLE ${FOUND}`)
  return counts
}

/** Rows of the table that others take the place of. */
const FOUND = 'temp.main."found rows"'

/** An intent inserts the keys that neither the table nor an intent before it has, and updates its others. */
async function countsOfIntents(sql: DuckDBSql, table: Table, intents: number): Promise<RowCounts[]> {
  const rows = await sql.all(
    `SELECT _intent, count(*) FILTER (WHERE fresh) AS inserted, count(*) FILTER (WHERE NOT fresh) AS updated FROM (
       SELECT s._intent, f._found IS NULL AND s._intent = min(s._intent) OVER (PARTITION BY ${keyList(table, 's')}) AS fresh
       FROM (SELECT DISTINCT _intent, ${keyList(table)} FROM ${STAGE}) s LEFT JOIN ${FOUND} f ON ${sameKey(table, 's', 'f')})
     GROUP BY _intent`,
  )
  const counts = Array.from({ length: intents }, () => NO_ROWS)
  for (const { _intent, inserted, updated } of rows) {
    counts[Number(_intent)] = { inserted: Number(inserted), updated: Number(updated), deleted: 0 }
  }
  return counts
}

/** Empties the table and inserts the staged rows. @throws TeatreeError KEY_CONFLICT where a key is staged twice */
export async function replaceStage(sql: DuckDBSql, table: Table): Promise<RowCounts> {
  for (const error of (await keyConflicts(sql, table, 'stage', 1)).values()) throw error
  const deleted = await changed(sql, `DELETE FROM ${quoted(table.name)}`)
  return { inserted: await insertStage(sql, table), updated: 0, deleted }
}

/** Sets the columns of `set` in the rows that the filter selects. */
export async function updateRows(
  sql: DuckDBSql,
  kind: Kind,
  table: Table,
  { where, set }: { where: Filter; set: Row },
): Promise<RowCounts> {
  const params = new ParameterSink()
  const values = new Map(
    [...table.columns.values()]
      .filter(({ name }) => set[name] !== undefined)
      .map(({ name, type }) => {
        const value = set[name] ?? null
        return [name, value === null ? `CAST(NULL AS ${type})` : params.value(value, type)]
      }),
  )
  const filter = compileFilter(table, kind, where, OWN_TABLES, params)
  return { ...NO_ROWS, updated: await updateWhere(sql, table, { values, filter, params: params.params }) }
}

/** So many rows are few: an update in place makes a reader that replays it read the blocks of each. */
const FEW_ROWS = 5000

/**
 * Sets columns to their SQL in the rows that the filter selects, and says in how many. Few are put in anew, as by an upsert:
 * in place, all of the row groups that they are in would be written again with the next checkpoint, too.
 */
export async function updateWhere(
  sql: DuckDBSql,
  table: Table,
  { values, filter, params }: { values: ReadonlyMap<string, string>; filter: string; params: Parameters },
): Promise<number> {
  if (values.size === 0) throw new Error('an update sets at least one column')
  const columns = [...table.columns.values()].map(({ name, type }) => {
    const value = values.get(name)
    return value === undefined ? quoted(name) : `CAST((${value}) AS ${type}) AS ${quoted(name)}`
  })
  const found = await changed(
    sql,
    `CREATE OR REPLACE TEMP TABLE ${FOUND} AS SELECT rowid AS _found, ${columns.join(', ')} FROM ${quoted(table.name)}
      WHERE ${filter} LIMIT ${FEW_ROWS + 1}`,
    params,
  )
  if (found > 0 && found <= FEW_ROWS) {
    await deleteFound(sql, table)
    await insertFrom(sql, table, FOUND)
  }
  await sql.run(`DROP TABLE ${FOUND}`)
  if (found <= FEW_ROWS) return found
  const list = [...values].map(([name, value]) => `${quoted(name)} = ${value}`)
  return changed(sql, `UPDATE ${quoted(table.name)} SET ${list.join(', ')} WHERE ${filter}`, params)
}

const deleteFound = (sql: DuckDBSql, table: Table): Promise<void> =>
  sql.run(`DELETE FROM ${quoted(table.name)} WHERE rowid IN (SELECT _found FROM ${FOUND})`)

/** Deletes the rows that the filter selects. */
export async function deleteRows(sql: DuckDBSql, kind: Kind, table: Table, where: Filter): Promise<RowCounts> {
  const params = new ParameterSink()
  const filter = compileFilter(table, kind, where, OWN_TABLES, params)
  return { ...NO_ROWS, deleted: await changed(sql, `DELETE FROM ${quoted(table.name)} WHERE ${filter}`, params.params) }
}

/** The tables of the model itself, as the writer calls them. */
export const OWN_TABLES = { table: quoted }

/** @param without numbers of intents whose rows stay out */
function insertStage(sql: DuckDBSql, table: Table, without: readonly number[] = []): Promise<number> {
  const where = without.length > 0 ? ` WHERE _intent NOT IN (${without.join(', ')})` : ''
  return insertFrom(sql, table, `${STAGE}${where}`)
}

function insertFrom(sql: DuckDBSql, table: Table, source: string): Promise<number> {
  const columns = [...table.columns.keys()].map(quoted).join(', ')
  return changed(sql, `INSERT INTO ${quoted(table.name)} (${columns}) SELECT ${columns} FROM ${source}`)
}

/** Runs a statement that changes rows, and says how many. */
export async function changed(sql: DuckDBSql, text: string, params?: Parameters): Promise<number> {
  const [row] = await sql.all(text, params)
  return Number(row?.Count ?? 0)
}
