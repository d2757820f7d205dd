import { readFile } from 'node:fs/promises'
import type { Parameters, QueryContext, ReadModel } from '../../kinds/context.ts'
import type { QueryAnswer } from '../../kinds/definition.ts'
import type { KindQuery } from '../../kinds/kind.ts'
import { declaredRow } from '../declared-row.ts'
import type { QueryPage, QueryRows } from '../engine.ts'
import { behind, type OrderKey, orderByText } from './keyset.ts'
import { type DuckDBSql, quoted } from './sql.ts'
import { sqlArguments } from './sql-arguments.ts'
import type { Statement } from './statement.ts'
import { ParameterSink, type TableNames } from './where-sql.ts'

/**
 * A page of a query function: its SELECT, ordered by its `orderBy`, ascending, nulls last. An answer that is not of
 * the declared columns is a fault of the kind, and an Error that says where.
 */
export async function runQuery(
  query: KindQuery,
  args: Readonly<Record<string, unknown>>,
  page: QueryPage,
  { sql, names, reads }: { sql: DuckDBSql; names: TableNames; reads: readonly ReadModel[] },
): Promise<QueryRows> {
  const answer = await answerOf(query, args, { sql, names, reads })
  const { text, params } = compilePage(query, answer, page)
  const found = await sql.all(text, params)
  const at = `query ${query.name}`
  const rows = found.map(row => declaredRow(at, query.rowColumns, row))
  const positions = rows.map(row => answer.orderBy.map(name => row[name] ?? null))
  return {
    rows,
    positions,
    page: declaredRow(at, query.pageColumns, answer.page ?? {}),
    total: page.count ? await count(sql, answer) : null,
  }
}

/** What the function answers: a SELECT, its parameters and its order. */
export async function answerOf(
  query: KindQuery,
  args: Readonly<Record<string, unknown>>,
  { sql, names, reads }: { sql: DuckDBSql; names: TableNames; reads: readonly ReadModel[] },
): Promise<QueryAnswer> {
  const implementation = query.engines.DUCKDB
  if (!implementation) throw new Error(`query ${query.name} has no implementation for DuckDB`)
  if (typeof implementation === 'function')
    return implementation({ args, sql: oneAtATime(sql), reads, table: name => names.table(name) })
  const select = await readFile(implementation.sql, 'utf8')
  return { select, params: sqlArguments(query.arguments, args), orderBy: implementation.orderBy }
}

/** The page of the answer's rows behind `after`, as a statement. */
function compilePage(query: KindQuery, answer: QueryAnswer, page: QueryPage): Statement {
  const params = new ParameterSink('page__')
  const order = answer.orderBy.map(name => orderKey(query, name))
  const columns = [...query.rowColumns.keys()].map(quoted).join(', ')
  const where = page.after ? ` WHERE ${behind(order, page.after, params)}` : ''
  const orderBy = order.length > 0 ? ` ORDER BY ${orderByText(order)}` : ''
  const limit = params.value(page.limit, 'BIGINT')
  const text = `SELECT ${columns} FROM ${bracketed(answer.select)} AS answer${where}${orderBy} LIMIT ${limit}`
  return { text, params: { ...answer.params, ...params.params } }
}

async function count(sql: DuckDBSql, { select, params }: QueryAnswer): Promise<bigint> {
  const [row] = await sql.all(`SELECT count(*) AS count FROM ${bracketed(select)} AS answer`, params)
  return BigInt(String(row?.count))
}

/** A SELECT as a subquery. A last semicolon would end it, and a last line of comment would swallow the bracket. */
export function bracketed(select: string): string {
  return `(\n${select.replace(/(?:;(?:\s|--.*(?:\n|$)|\/\*[\s\S]*?\*\/)*)+$/, '')}\n)`
}

function orderKey(query: KindQuery, name: string): OrderKey {
  const column = query.rowColumns.get(name)
  if (!column) throw new Error(`query ${query.name} orders by ${name}, which is no column of its rows`)
  return { operand: quoted(name), type: column.type, nullable: column.nullable, direction: 'ASC', nulls: 'LAST' }
}

/** A connection does one statement at a time; a function may well ask for several at once. */
function oneAtATime(sql: DuckDBSql): QueryContext['sql'] {
  let last: Promise<unknown> = Promise.resolve()
  return {
    all: (text: string, params?: Parameters) => {
      const next = last.then(() => sql.all(text, params))
      last = next.catch(() => undefined)
      return next
    },
  }
}
