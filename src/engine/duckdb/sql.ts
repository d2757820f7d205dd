import {
  DOUBLE,
  type DuckDBConnection,
  DuckDBListValue,
  type DuckDBPreparedStatement,
  type DuckDBResult,
  type DuckDBType,
  DuckDBTypeId,
  type DuckDBValue,
  INTEGER,
  JsonDuckDBValueConverter,
  LIST,
  type StatementType,
  VARCHAR,
} from '@duckdb/node-api'
import type { Parameters, Sql } from '../../kinds/context.ts'
import type { Row, Value } from '../../kinds/types.ts'
import { inPieces } from '../../platform/turns.ts'
import type { PreparedStatements } from './prepared-statements.ts'
import type { Statement } from './statement.ts'

/** An identifier, quoted. Identifiers only ever come from a kind or from the platform; values are bound. */
export const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/** A text as an SQL literal, for the few places where DuckDB binds nothing: ATTACH, COPY, SET. */
export const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`

/** SQL over one connection: parameters by name, rows in canonical form. One statement at a time is the caller's care. */
export class DuckDBSql implements Sql {
  readonly #connection: DuckDBConnection
  readonly #admit: ((type: StatementType) => void | Promise<void>) | undefined

  /** @param admit called before a statement is run; throws where its type may not be */
  constructor(connection: DuckDBConnection, admit?: (type: StatementType) => void | Promise<void>) {
    this.#connection = connection
    this.#admit = admit
  }

  async run(text: string, params?: Parameters): Promise<void> {
    if (this.#goesAtOnce(params)) await this.#connection.run(text)
    else
      await this.#each(text, params ?? {}, async prepared => {
        await prepared.run()
      })
  }

  async all(text: string, params: Parameters = {}): Promise<Row[]> {
    return this.#use(await this.#connection.prepare(text), params, async prepared => rowsOf(await prepared.run()))
  }

  /**
   * As `all`, of a statement that is likely to come again, and gives `most` rows at most: to see that there are no more
   * after them would be a way through the thread pool and back.
   */
  async again(statements: PreparedStatements, { text, params, most }: Statement): Promise<Row[]> {
    return statements.use(text, async prepared => {
      bind(prepared, params)
      return rowsOf(await prepared.run(), most)
    })
  }

  /** The result of one statement, whose rows are computed as they are fetched. */
  async stream(text: string, params: Parameters = {}): Promise<DuckDBResult> {
    return this.#use(await this.#connection.prepare(text), params, prepared => prepared.stream())
  }

  /** Runs one or more statements, and answers with the rows of the last. */
  async script(text: string, params?: Parameters): Promise<Row[]> {
    if (this.#goesAtOnce(params)) return rowsOf(await this.#connection.run(text))
    let rows: Row[] = []
    await this.#each(text, params ?? {}, async (prepared, isLast) => {
      const result = await prepared.run()
      if (isLast) rows = await rowsOf(result)
    })
    return rows
  }

  /** Taking statements apart, preparing and running each is a way through the thread pool and back every time. */
  #goesAtOnce(params: Parameters | undefined): params is undefined {
    return params === undefined && this.#admit === undefined
  }

  async #each(
    text: string,
    params: Parameters,
    run: (prepared: DuckDBPreparedStatement, isLast: boolean) => Promise<void>,
  ): Promise<void> {
    const statements = await this.#connection.extractStatements(text)
    for (let index = 0; index < statements.count; index++) {
      const prepared = await statements.prepare(index)
      await this.#use(prepared, params, () => run(prepared, index === statements.count - 1))
    }
  }

  async #use<T>(
    prepared: DuckDBPreparedStatement,
    params: Parameters,
    run: (prepared: DuckDBPreparedStatement) => Promise<T>,
  ): Promise<T> {
    try {
      await this.#admit?.(prepared.statementType)
      bind(prepared, params)
      return await run(prepared)
    } finally {
      prepared.destroySync()
    }
  }
}

/**
 * The rows of a result, of which there are `most` at most: to see that there are no more would be a way through the thread
 * pool and back. A column at a time, with others' turns in between: thousands of rows take longer than a turn may.
 */
async function rowsOf(result: DuckDBResult, most = Number.POSITIVE_INFINITY): Promise<Row[]> {
  const names = result.deduplicatedColumnNames()
  const rows: Record<string, Value>[] = []
  while (rows.length < most) {
    const chunk = await result.fetchChunk()
    if (!chunk || chunk.rowCount === 0) break
    const first = rows.length
    for (let row = 0; row < chunk.rowCount; row++) rows.push({})
    for await (const [column, name] of inPieces([...names.entries()])) {
      const canonical = result.columnTypeId(column) === DuckDBTypeId.TIMESTAMP ? canonicalTimestamp : canonicalValue
      chunk.visitColumnValues(column, (value, row, _, type) => {
        const of = rows[first + row]
        if (of) of[name] = canonical(value, type)
      })
    }
  }
  return rows
}

/** Binds the parameters that the statement names; those that it does not name belong to another statement of the text. */
function bind(prepared: DuckDBPreparedStatement, params: Parameters): void {
  const values: Record<string, DuckDBValue> = {}
  const types: Record<string, DuckDBType> = {}
  for (let index = 1; index <= prepared.parameterCount; index++) {
    const name = prepared.parameterName(index)
    const value = params[name]
    if (value === undefined) throw new Error(`parameter $${name} has no value`)
    if (typeof value === 'object' && value !== null) {
      values[name] = new DuckDBListValue(value.map(item => (item === null ? null : String(item))))
      types[name] = LIST(VARCHAR)
    } else {
      values[name] = value
      if (typeof value === 'number' && Number.isInteger(value) && Math.abs(value) < 2 ** 31) types[name] = INTEGER
      // The client would take every larger whole number for a BIGINT, and fail where it is none.
      else if (typeof value === 'number' && !Number.isSafeInteger(value)) types[name] = DOUBLE
    }
  }
  if (prepared.parameterCount > 0) prepared.bind(values, types)
}

const canonicalValue = (value: DuckDBValue, type: DuckDBType): Value =>
  JsonDuckDBValueConverter(value, type, JsonDuckDBValueConverter) as Value

/** DuckDB's JSON form differs from the canonical one in timestamps alone. */
function canonicalTimestamp(value: DuckDBValue, type: DuckDBType): Value {
  if (value === null) return null
  const [seconds = '', fraction = ''] = String(canonicalValue(value, type)).replace(' ', 'T').split('.')
  return `${seconds}.${fraction.padEnd(6, '0')}Z`
}
