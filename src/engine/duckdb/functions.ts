import { readFile } from 'node:fs/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { FunctionContext, ReadModel } from '../../kinds/context.ts'
import type { Kind, KindFunction } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { declaredRow } from '../declared-row.ts'
import {
  calledFunction,
  type FunctionCall,
  filterOf,
  functionStep,
  functionTimeLimit,
  intentContext,
  sameKeyTwice,
  undeclared,
} from '../function-calls.ts'
import { tableOf } from '../plan-tables.ts'
import { faultOf } from './errors.ts'
import { FunctionSql } from './function-sql.ts'
import { interruptible } from './interruptible.ts'
import { isKeyTwice } from './key-conflicts.ts'
import { OWN_TABLES } from './row-writes.ts'
import { quoted } from './sql.ts'
import { sqlArguments } from './sql-arguments.ts'
import { compileFilter, ParameterSink } from './where-sql.ts'

/** What a function runs with. */
export interface FunctionRun extends FunctionCall {
  connection: DuckDBConnection
  reads: readonly ReadModel[]
  /** Begins the transaction in which the function writes, where it has not begun. */
  begin(): Promise<void>
}

/**
 * Runs a function of the kind in a transaction that begins when it may write, and answers with its result. Whatever it throws, the
 * transaction is to be rolled back; by then no statement of it is running.
 * @throws TeatreeError FUNCTION_TIMEOUT, or what the function refuses with
 * @throws the signal's reason; else an error whose fault errors.ts tells
 */
export async function runFunction(run: FunctionRun): Promise<Row> {
  const { connection, kind, signal, begin } = run
  const spec = calledFunction(run)
  using limit = functionTimeLimit(spec)
  const sql = new FunctionSql(connection, begin)
  const stopped = AbortSignal.any([signal, limit.signal])
  const answer = await interruptible(
    connection,
    stopped,
    async () => {
      const answer = await answerOf(spec, contextOf(run, sql, stopped), sql)
      await checkKeys(sql, kind, spec)
      if (sql.hasCreated) await checkCatalog(sql, kind, spec)
      return answer
    },
    () => sql.end(),
  )
  await sql.end()
  return declaredRow(`function ${spec.name}`, spec.resultColumns, answer)
}

async function answerOf(spec: KindFunction, context: FunctionContext, sql: FunctionSql): Promise<unknown> {
  try {
    const answer = await implementation(spec, context, sql)
    await sql.settled()
    if (sql.failure) throw sql.failure.error
    return answer
  } catch (error) {
    // A full disk is no less full for the words that the function found for it.
    if (sql.failure && faultOf(sql.failure.error) === 'surroundings') throw sql.failure.error
    throw undeclared(spec, error) ?? error
  }
}

async function implementation(spec: KindFunction, context: FunctionContext, sql: FunctionSql): Promise<unknown> {
  const implementation = spec.engines.DUCKDB
  if (!implementation) throw new Error(`function ${spec.name} has no implementation for DuckDB`)
  if (typeof implementation === 'function') return implementation(context)
  const text = await readFile(implementation.sql, 'utf8')
  const own = { intentId: context.intentId, now: context.now }
  const rows = await sql.script(text, { ...own, ...sqlArguments(spec.arguments, context.args) })
  if (rows.length !== 1) throw new Error(`function ${spec.name} answers with ${rows.length} rows instead of one`)
  return rows[0]
}

function contextOf(run: FunctionRun, sql: FunctionSql, signal: AbortSignal): FunctionContext {
  const { kind, reads } = run
  let filters = 0
  return {
    ...intentContext(run, signal),
    sql,
    reads,
    where(name, filter) {
      filters += 1
      const params = new ParameterSink(`where${filters}_`)
      const text = compileFilter(tableOf(kind, name), kind, filterOf(kind, name, filter), OWN_TABLES, params)
      return { text, params: params.params }
    },
    update(name, { set, where, params }) {
      const table = tableOf(kind, name)
      const stranger = Object.keys(set).find(column => !table.columns.has(column))
      if (stranger !== undefined) throw new Error(`table ${name} has no column ${stranger}`)
      return sql.update(table, new Map(Object.entries(set)), where, params ?? {})
    },
    step: (name, fn) => functionStep(run, signal, name, fn),
  }
}

/** To be looked for only where there may be one: DuckDB lists some thousand functions of its own, which takes it longer than most work. */
const OWN_MACROS = `UNION ALL SELECT schema_name, function_name FROM duckdb_functions()
     WHERE database_name = current_database() AND NOT internal`

/** Row writes keep keys apart by themselves; a function's SQL has to be looked at, as everything else relies on it. */
async function checkKeys(sql: FunctionSql, kind: Kind, { name }: KindFunction): Promise<void> {
  for (const table of kind.tables.values()) {
    if (!sql.mayHaveWritten(table.name)) continue
    if (await isKeyTwice(sql, table, quoted(table.name))) throw sameKeyTwice(name, table.name)
  }
}

/** TEMP tables go with the function's connection; what else it created would be in every version from now on. */
async function checkCatalog(sql: FunctionSql, kind: Kind, { name }: KindFunction): Promise<void> {
  const found = await sql.all(
    `SELECT schema_name AS schema, table_name AS name FROM duckdb_tables() WHERE database_name = current_database()
     UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT internal
     UNION ALL SELECT schema_name, sequence_name FROM duckdb_sequences() WHERE database_name = current_database()
     UNION ALL SELECT schema_name, type_name FROM duckdb_types() WHERE database_name = current_database() AND NOT internal
     ${sql.mayHaveDefined ? OWN_MACROS : ''}`,
  )
  const names = found.map(({ schema, name }) => `${schema}.${name}`)
  const expected = ['_teatree.state', ...[...kind.tables.keys()].map(table => `main.${table}`)]
  const different = [...new Set(names).symmetricDifference(new Set(expected))]
  if (different.length > 0) throw new Error(`function ${name} has created or dropped ${different.join(', ')}`)
}
