import { TeatreeError } from '../../../platform/errors.ts'
import type { DuckDBSql } from '../sql.ts'

/** Longer than any statement that a person or a program composes: whoever comes here has put rows into it. */
const MAX_LENGTH = 100_000

/** The table functions that make rows of their arguments alone. All others read files, settings or the catalogue. */
const TABLE_FUNCTIONS = new Set(
  'range generate_series unnest repeat repeat_row json_each json_tree generate_subscripts'.split(' '),
)

/** Tell of the server, run text as SQL, change what the process keeps, or only take time. */
const SCALAR_FUNCTIONS = new RegExp(
  `^(${[
    'getenv|getvariable|current_setting|version|user|session_user|get_block_size',
    'current_(connection_id|query|query_id|transaction_id|database|catalog|schema|schemas|role|user)|txid_current',
    'in_search_path|nextval|currval|setseed|sleep_ms|write_log|stats|json_serialize_plan|json_execute_serialized_sql',
    'parse_duckdb_log_message|has_\\w+_privilege|inet_(client|server)_(addr|port)|(?:col|obj|shobj)_description',
    'pg_(?!typeof$|size_pretty$)\\w+',
  ].join('|')})$`,
)

/** What DuckDB shows of itself wherever one is. */
const SYSTEM_VIEW = /^(duckdb|sqlite|pg|pragma)_/

/** A node of the tree that DuckDB's parser makes of a statement. */
type Node = Readonly<Record<string, unknown>>

/** A semicolon behind which nothing comes that says anything, as far as one sees: it may yet be within a text. */
const LAST = /;(?=(?:[;\s]|--.*(?:\n|$)|\/\*(?:(?!\*\/)[\s\S])*\*\/)*$)/g

/**
 * Refuses what is not exactly one SELECT over these tables and over values: by DuckDB's own parser, before anything of it
 * is bound or run. Answers with the SELECT without the semicolon that ends it, so that it can be a part of another.
 * @throws TeatreeError STATEMENT_NOT_ALLOWED, ACCESS_DENIED, BAD_VALUE
 */
export async function checkSelect(sql: DuckDBSql, statement: string, tables: readonly string[]): Promise<string> {
  if (statement.length > MAX_LENGTH)
    throw new TeatreeError('BAD_VALUE', `statement: at most ${MAX_LENGTH} characters; give values as params.`)
  // Where it ended would depend on who reads it.
  if (statement.includes('\0')) throw new TeatreeError('BAD_VALUE', 'statement: it holds the character U+0000.')
  const text = await treeOf(sql, statement)
  const tree = JSON.parse(text)
  if (tree.error) throw tree.error_type === 'parser' ? badSyntax(tree) : notAllowed()
  if (tree.statements?.length !== 1) throw notAllowed()
  check(tree, { tables: new Set(tables.map(lower)), names: namesWithin(tree), all: tables })
  for (const { index } of statement.matchAll(LAST)) {
    const alone = statement.slice(0, index)
    if ((await treeOf(sql, alone)) === text) return alone
  }
  return statement
}

async function treeOf(sql: DuckDBSql, statement: string): Promise<string> {
  const text = 'SELECT CAST(json_serialize_sql(CAST($statement AS VARCHAR)) AS VARCHAR) AS tree'
  const [row] = await sql.all(text, { statement })
  return String(row?.tree)
}

const lower = (name: string): string => name.toLowerCase()
const isNode = (value: unknown): value is Node => typeof value === 'object' && value !== null

interface Allowed {
  tables: ReadonlySet<string>
  /** Of the statement's own common table expressions, wherever they are. */
  names: ReadonlySet<string>
  all: readonly string[]
}

function check(node: Node, allowed: Allowed): void {
  if (node.type === 'SHOW_REF') throw notAllowed()
  if (node.type === 'BASE_TABLE') checkTable(node, allowed)
  if (node.type === 'TABLE_FUNCTION') checkTableFunction(node.function)
  else if (node.class === 'FUNCTION' && SCALAR_FUNCTIONS.test(functionName(node))) throw deniedFunction(node)
  for (const value of Object.values(node)) if (isNode(value)) check(value, allowed)
}

function checkTable(node: Node, { tables, names, all }: Allowed): void {
  const name = String(node.table_name)
  if (node.schema_name || node.catalog_name)
    throw denied(`Tables are named without a schema; there are ${all.join(', ')}.`)
  if (tables.has(lower(name))) return
  if (SYSTEM_VIEW.test(lower(name)) || (!/^\w+$/.test(name) && !names.has(lower(name))))
    throw denied(`The statement may read the tables ${all.join(', ')}, and no ${JSON.stringify(name)}.`)
  if (!names.has(lower(name)))
    throw new TeatreeError('BAD_VALUE', `There is no table ${name}; there are ${all.join(', ')}.`)
}

function checkTableFunction(node: unknown): void {
  if (!isNode(node) || !TABLE_FUNCTIONS.has(functionName(node))) throw deniedFunction(isNode(node) ? node : {})
}

const functionName = (node: Node): string => lower(String(node.function_name))

/** Names of common table expressions hide no system's view: those are refused by name, whoever means them. */
function namesWithin(tree: Node): ReadonlySet<string> {
  const names = new Set<string>()
  const look = (node: Node) => {
    const map = isNode(node.cte_map) ? node.cte_map.map : null
    for (const entry of Array.isArray(map) ? map : []) if (isNode(entry)) names.add(lower(String(entry.key)))
    // A recursive one names itself.
    if (node.type === 'RECURSIVE_CTE_NODE' || node.type === 'CTE_NODE') names.add(lower(String(node.cte_name)))
    for (const value of Object.values(node)) if (isNode(value)) look(value)
  }
  look(tree)
  return names
}

const notAllowed = () =>
  new TeatreeError('STATEMENT_NOT_ALLOWED', 'A statement is exactly one SELECT; this is another one, or several.')
const denied = (message: string) => new TeatreeError('ACCESS_DENIED', message)
const deniedFunction = (node: Node) =>
  denied(`The statement may not call ${node.function_name}: it reaches for something outside the snapshot.`)
const badSyntax = ({ error_message: message }: Node) => new TeatreeError('BAD_VALUE', `statement: ${message}`)
