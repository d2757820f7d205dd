import { type DuckDBConnection, StatementType } from '@duckdb/node-api'
import type { Parameters, Sql } from '../../kinds/context.ts'
import type { Table } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import { updateWhere } from './row-writes.ts'
import { DuckDBSql } from './sql.ts'

/** What a function may run; its transaction, what is attached and the settings are the writer's. */
const ADMITTED = new Set([
  StatementType.SELECT,
  StatementType.INSERT,
  StatementType.UPDATE,
  StatementType.DELETE,
  StatementType.MERGE_INTO,
  StatementType.CREATE,
  StatementType.CREATE_FUNC,
  StatementType.DROP,
  StatementType.EXPLAIN,
])

const CATALOG = new Set([StatementType.CREATE, StatementType.CREATE_FUNC, StatementType.DROP])

/** Words by which a SELECT writes, and by which DuckDB comes to CREATE what the text does not name. */
const WRITES = /\b(nextval|import|pragma)\b/i
/** What creates or drops, if not certain to be TEMP. */
const NOT_TEMP = /\bcreate\b(?!\s+(or\s+replace\s+)?temp(orary)?\s)|\bdrop\b(?!\s+table\s+(if\s+exists\s+)?temp\.)/i

/** Whether a statement of the text leaves the model as it is. */
function isApart(type: StatementType, text: string): boolean {
  if (WRITES.test(text)) return false
  return type === StatementType.SELECT || (CATALOG.has(type) && !NOT_TEMP.test(text))
}

/**
 * The SQL that a function is given: one statement after another, until the function is over. The transaction begins with the
 * first that may write to the model; before it each is by itself, as nobody else writes there:
 *
 *   SELECT    CREATE TEMP TABLE    SELECT    BEGIN  DELETE  INSERT    SELECT  COMMIT
 *
 * DuckDB has no statistics of TEMP tables of the transaction under way, and reads each with one thread; those before it are like
 * any other.
 */
export class FunctionSql implements Sql {
  readonly #sql: DuckDBSql
  #last: Promise<unknown> = Promise.resolve()
  #failure: { error: unknown } | undefined
  #isOver = false
  /** The text that runs. */
  #text = ''
  #written = ''
  #hasCreated = false
  #mayHaveDefined = false

  /** @param begin begins the transaction, where it has not begun */
  constructor(connection: DuckDBConnection, begin: () => Promise<void>) {
    this.#sql = new DuckDBSql(connection, async type => {
      if (!ADMITTED.has(type)) throw new Error(`a function runs no ${StatementType[type]}`)
      this.#hasCreated ||= CATALOG.has(type)
      if (!isApart(type, this.#text)) await begin()
    })
  }

  run(text: string, params?: Parameters): Promise<void> {
    return this.#next(text, () => this.#sql.run(text, params))
  }

  all(text: string, params?: Parameters): Promise<Row[]> {
    return this.#next(text, () => this.#sql.all(text, params))
  }

  script(text: string, params?: Parameters): Promise<Row[]> {
    return this.#next(text, () => this.#sql.script(text, params))
  }

  /** As `FunctionContext.update` says. */
  update(table: Table, values: ReadonlyMap<string, string>, filter: string, params: Parameters): Promise<number> {
    return this.#next(`UPDATE ${table.name}`, () => updateWhere(this.#sql, table, { values, filter, params }))
  }

  /** Of the first statement that failed: whoever caught its error, no other is run, as DuckDB has it within a transaction. */
  get failure(): { error: unknown } | undefined {
    return this.#failure
  }

  /** That the statements which the function did not wait for are done too. */
  async settled(): Promise<void> {
    await this.#last
  }

  /** Takes no more statements, and settles when none is running. */
  async end(): Promise<void> {
    this.#isOver = true
    await this.#last
  }

  /** Whether the function may have written to a table of that name. */
  mayHaveWritten(table: string): boolean {
    return new RegExp(`\\b${table}\\b`, 'i').test(this.#written)
  }

  /** Whether the function has created or dropped anything, be it TEMP. */
  get hasCreated(): boolean {
    return this.#hasCreated
  }

  /** Whether it may have created a macro, which takes one of these words. */
  get mayHaveDefined(): boolean {
    return this.#mayHaveDefined
  }

  #next<T>(text: string, run: () => Promise<T>): Promise<T> {
    this.#mayHaveDefined ||= /\bcreate\b.*\b(macro|function)\b/is.test(text)
    if (/\b(insert|update|merge)\b/i.test(text)) this.#written += `${text}\n`
    const next = this.#last.then(() => {
      if (this.#isOver) throw new Error('the function is over')
      if (this.#failure) throw this.#failure.error
      this.#text = text
      return run()
    })
    this.#last = next.catch(error => {
      if (!this.#isOver) this.#failure ??= { error }
    })
    return next
  }
}
