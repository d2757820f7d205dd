import { readFile } from 'node:fs/promises'
import type { DuckDBConnection } from '@duckdb/node-api'
import type { FunctionContext, ReadModel } from '../../kinds/context.ts'
import type { Kind, KindFunction } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { parseWhere } from '../../kinds/where.ts'
import { ERRORS, TeatreeError } from '../../platform/errors.ts'
import { span } from '../../platform/telemetry/index.ts'
import { declaredRow } from '../declared-row.ts'
import type { Change, Work } from '../engine.ts'
import { ALL } from '../plan.ts'
import { tableOf } from '../plan-tables.ts'
import { seededRandom } from '../seeded-random.ts'
import { faultOf } from './errors.ts'
import { FunctionSql } from './function-sql.ts'
import { interruptible } from './interruptible.ts'
import { OWN_TABLES } from './row-writes.ts'
import { quoted } from './sql.ts'
import { sqlArguments } from './sql-arguments.ts'
import { keyList } from './stage.ts'
import { compileFilter, ParameterSink } from './where-sql.ts'

/** What a function runs with; `signal` stops it, besides its time limit. */
export interface FunctionRun {
  connection: DuckDBConnection
  kind: Kind
  work: Work
  change: Extract<Change, { is: 'function' }>
  reads: readonly ReadModel[]
  signal: AbortSignal
}

/**
 * Runs a function of the kind in the transaction under way, and answers with its result. Whatever it throws, the
 * transaction is to be rolled back; by then no statement of it is running.
 * @throws TeatreeError FUNCTION_TIMEOUT, or what the function refuses with
 * @throws the signal's reason; else an error whose fault errors.ts tells
 */
export async function runFunction(run: FunctionRun): Promise<Row> {
  const { connection, kind, change, signal } = run
  const spec = kind.functions.get(change.name)
  if (!spec) throw new Error(`kind ${kind.name} has no function ${change.name}`)
  using limit = timeLimit(spec)
  const sql = new FunctionSql(connection)
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

/** Clients can only know the codes that the function declares, and the platform's: any other is a fault of the kind. */
function undeclared({ name, errors }: KindFunction, error: unknown): Error | null {
  if (!(error instanceof TeatreeError)) return null
  if (Object.hasOwn(ERRORS, error.code) || Object.hasOwn(errors ?? {}, error.code)) return null
  return new Error(`function ${name} refused with ${error.code}, which it does not declare`, { cause: error })
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
  const { kind, work, change, reads } = run
  let filters = 0
  return {
    args: change.args,
    intentId: work.intentId,
    name: change.name,
    now: work.submittedAt,
    random: seededRandom(work.intentId),
    sql,
    reads,
    where(name, filter) {
      const table = tableOf(kind, name)
      filters += 1
      const params = new ParameterSink(`where${filters}_`)
      const parsed = filter === null || filter === undefined ? ALL : parseWhere(kind, table, filter)
      return { text: compileFilter(table, kind, parsed, OWN_TABLES, params), params: params.params }
    },
    update(name, { set, where, params }) {
      const table = tableOf(kind, name)
      const stranger = Object.keys(set).find(column => !table.columns.has(column))
      if (stranger !== undefined) throw new Error(`table ${name} has no column ${stranger}`)
      return sql.update(table, new Map(Object.entries(set)), where, params ?? {})
    },
    async step(name, fn) {
      signal.throwIfAborted()
      work.onStep(name, null)
      const attributes = { 'teatree.function': change.name, 'teatree.step': name }
      const result = await span(`step ${name}`, { attributes }, fn)
      signal.throwIfAborted()
      return result
    },
    signal,
  }
}

/** Aborts when the function's time is over. */
function timeLimit({ name, timeoutSeconds }: KindFunction): { signal: AbortSignal } & Disposable {
  const limit = new AbortController()
  const message = `${name} was not done within its time limit of ${timeoutSeconds} s`
  const timer = setTimeout(
    () => limit.abort(new TeatreeError('FUNCTION_TIMEOUT', message)),
    Math.min(timeoutSeconds * 1000, 2 ** 31 - 1),
  )
  return { signal: limit.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

/** To be looked for only where there may be one: DuckDB lists some thousand functions of its own, which takes it longer than most work. */
const OWN_MACROS = `UNION ALL SELECT schema_name, function_name FROM duckdb_functions()
     WHERE database_name = current_database() AND NOT internal`

/** Row writes keep keys apart by themselves; a function's SQL has to be looked at, as everything else relies on it. */
async function checkKeys(sql: FunctionSql, kind: Kind, { name }: KindFunction): Promise<void> {
  for (const table of kind.tables.values()) {
    if (!sql.mayHaveWritten(table.name)) continue
    const [twice] = await sql.all(
      `SELECT 1 FROM ${quoted(table.name)} GROUP BY ${keyList(table)} HAVING count(*) > 1 LIMIT 1`,
    )
    if (twice) throw new Error(`function ${name} has left two rows with the same key in ${table.name}`)
  }
}

/** TEMP tables go with the function's connection; what else it created would be in every version from now on. */
async function checkCatalog(sql: FunctionSql, kind: Kind, { name }: KindFunction): Promise<void> {
  const found = await sql.all(
    `SELECT schema_name AS schema, table_name AS name FROM duckdb_tables() WHERE database_name = current_database()
     UNION ALL SELECT schema_name, view_name FROM duckdb_views() WHERE database_name = current_database() AND NOT internal
     ${sql.mayHaveDefined ? OWN_MACROS : ''}`,
  )
  const names = found.map(({ schema, name }) => `${schema}.${name}`)
  const expected = ['_teatree.state', ...[...kind.tables.keys()].map(table => `main.${table}`)]
  const different = [...new Set(names).symmetricDifference(new Set(expected))]
  if (different.length > 0) throw new Error(`function ${name} has created or dropped ${different.join(', ')}`)
}
