import type { Operation, Row, Tables } from '../history.ts'

/** What became of an operation: nothing is left of one that failed. */
export type Outcome = { status: 'PUBLISHED' } | { status: 'FAILED'; code: string }
const PUBLISHED: Outcome = { status: 'PUBLISHED' }

const KEYS: Readonly<Record<string, readonly string[]>> = {
  sites: ['siteId'],
  products: ['productId'],
  customers: ['customerId'],
  salespersons: ['salespersonId'],
  sales: ['orderId', 'line'],
}

/** A model of kind `sales` as it is meant: maps of rows, and one operation at a time. */
export class SalesModel {
  readonly #tables = new Map<string, Map<string, Row>>(Object.keys(KEYS).map(name => [name, new Map()]))

  apply(operation: Operation): Outcome {
    if (operation.is === 'computeGoals') throw new Error('sales models have no goals')
    const rows = this.#rows(operation.table)
    switch (operation.is) {
      case 'append':
        return this.#append(operation.table, operation.rows)
      case 'upsert':
        return this.#upsert(operation.table, operation.rows)
      case 'update':
        for (const [key, row] of rows) if (meets(row, operation.where)) rows.set(key, { ...row, ...operation.set })
        return PUBLISHED
      case 'delete':
        for (const [key, row] of rows) if (meets(row, operation.where)) rows.delete(key)
        return PUBLISHED
      case 'import':
        return this.#import(operation)
    }
  }

  /** The rows as they are now; they do not change with what comes later. */
  get tables(): Tables {
    return Object.fromEntries([...this.#tables].map(([name, rows]) => [name, [...rows.values()]]))
  }

  #append(table: string, rows: readonly Row[]): Outcome {
    const there = this.#rows(table)
    const keys = rows.map(row => keyOf(table, row))
    if (new Set(keys).size < keys.length || keys.some(key => there.has(key)))
      return { status: 'FAILED', code: 'KEY_CONFLICT' }
    return this.#upsert(table, rows)
  }

  #upsert(table: string, rows: readonly Row[]): Outcome {
    for (const row of rows) this.#rows(table).set(keyOf(table, row), row)
    return PUBLISHED
  }

  #import({ table, mode, rows, isBad }: Extract<Operation, { is: 'import' }>): Outcome {
    if (isBad) return { status: 'FAILED', code: 'BAD_VALUE' }
    if (mode === 'APPEND') return this.#append(table, rows)
    if (mode === 'REPLACE') this.#rows(table).clear()
    return this.#upsert(table, rows)
  }

  #rows(table: string): Map<string, Row> {
    const rows = this.#tables.get(table)
    if (!rows) throw new Error(`sales models have no ${table}`)
    return rows
  }
}

const keyOf = (table: string, row: Row): string => JSON.stringify(KEYS[table]?.map(column => row[column]))
const meets = (row: Row, where: Row): boolean => Object.entries(where).every(([column, value]) => row[column] === value)
