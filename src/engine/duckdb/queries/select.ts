import type { DuckDBConnection } from '@duckdb/node-api'
import type { Parameters, ReadModel } from '../../../kinds/context.ts'
import type { KindQuery } from '../../../kinds/kind.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import type { QueryWork, ResultColumn } from '../../engine.ts'
import { answerOf, bracketed } from '../query-functions.ts'
import { type DuckDBSql, quoted } from '../sql.ts'
import type { TableNames } from '../where-sql.ts'
import { checkSelect } from './check-select.ts'
import { resultColumns, storedColumns } from './result-columns.ts'

/** A result as one SELECT, of logical types; nothing of it has been computed. */
export interface ResultSelect {
  text: string
  params: Parameters
  columns: ResultColumn[]
}

/** @throws TeatreeError as the statement's check does; else DuckDB's errors */
export async function sqlSelect(
  connection: DuckDBConnection,
  sql: DuckDBSql,
  { statement, params: given }: Extract<QueryWork, { is: 'sql' }>,
  tables: readonly string[],
): Promise<ResultSelect> {
  const select = await checkSelect(sql, statement, tables)
  const params = await parametersOf(connection, statement, given)
  // A last line of comment would swallow the bracket.
  const answer = `(\n${select}\n) AS answer`
  // Of which types it is shows once its parameters are bound; with no rows wanted nothing is computed for it.
  const described = await sql.stream(`SELECT * FROM ${answer} LIMIT 0`, params)
  const columns = resultColumns(
    described.columnNames().map((name, index) => {
      const type = described.columnType(index)
      return { name, type: String(type), alias: type.alias }
    }),
  )
  const names = columns.map((_, index) => `c${index + 1}`).join(', ')
  return { text: `SELECT ${storedColumns(columns)} FROM ${answer}(${names})`, params, columns }
}

/** What is given for `$1`, `$2` … by the names that the statement has for them. */
async function parametersOf(
  connection: DuckDBConnection,
  statement: string,
  given: readonly unknown[],
): Promise<Parameters> {
  const prepared = await connection.prepare(statement)
  try {
    const names = Array.from({ length: prepared.parameterCount }, (_, index) => prepared.parameterName(index + 1))
    const named = names.find(name => !/^[1-9]\d*$/.test(name))
    if (named !== undefined)
      throw new TeatreeError('BAD_VALUE', `params: parameters are $1, $2 …, and the statement has $${named}.`)
    const most = Math.max(0, ...names.map(Number))
    if (most !== given.length)
      throw new TeatreeError(
        'BAD_VALUE',
        `params: the statement has ${most} parameters, and ${given.length} are given.`,
      )
    return Object.fromEntries(names.map(name => [name, given[Number(name) - 1] as Parameters[string]]))
  } finally {
    prepared.destroySync()
  }
}

/** All rows of a query function, in its order. */
export async function functionSelect(
  sql: DuckDBSql,
  query: KindQuery,
  args: Readonly<Record<string, unknown>>,
  { tables: names, reads }: { tables: TableNames; reads: readonly ReadModel[] },
): Promise<ResultSelect> {
  const { select, params, orderBy } = await answerOf(query, args, { sql, names, reads })
  const columns = functionColumns(query)
  const list = columns.map(({ name, stored }) => `CAST(${quoted(name)} AS ${stored}) AS ${quoted(name)}`)
  const order = orderBy.length > 0 ? ` ORDER BY ${orderBy.map(name => `${quoted(name)} NULLS LAST`).join(', ')}` : ''
  return { text: `SELECT ${list.join(', ')} FROM ${bracketed(select)} AS answer${order}`, params, columns }
}

/** The columns of a query function's result. */
export const functionColumns = (query: KindQuery): ResultColumn[] =>
  [...query.rowColumns.values()].map(({ name, type, nullable }) => ({
    name,
    type,
    stored: type,
    isJson: false,
    nullable,
  }))
