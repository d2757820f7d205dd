import type { Parameters } from '../../kinds/context.ts'
import type { Column, Kind, Table } from '../../kinds/kind.ts'
import type { LogicalType, Value } from '../../kinds/types.ts'
import { comparable } from '../comparable.ts'
import type { Filter } from '../plan.ts'
import { quoted } from './sql.ts'

type Present = Exclude<Value, null>

/** Collects the values of a statement; its names begin with `prefix`, so that several sinks can serve one statement. */
export class ParameterSink {
  readonly #values: Record<string, Value | readonly Value[]> = {}
  readonly #prefix: string
  #count = 0

  constructor(prefix = 'p') {
    this.#prefix = prefix
  }

  /** The SQL that stands for the value: `CAST($p1 AS DATE)`. DuckDB folds the cast, so zone maps still prune. */
  value(value: Present, type: LogicalType): string {
    return `CAST(${this.#add(value)} AS ${type})`
  }

  /** The SQL that stands for a list of the type. */
  list(values: readonly Value[], type: LogicalType): string {
    return `CAST(${this.#add(values)} AS ${type}[])`
  }

  get params(): Parameters {
    return this.#values
  }

  #add(value: Value | readonly Value[]): string {
    this.#count += 1
    const name = `${this.#prefix}${this.#count}`
    this.#values[name] = value
    return `$${name}`
  }
}

/** How tables are called in the SQL that a filter becomes part of; the answer is quoted. */
export interface TableNames {
  table(name: string): string
}

/**
 * A filter as one SQL expression in brackets, to stand behind a WHERE over `table` alone (under any alias: columns are
 * not qualified). Values go into `params`. Three-valued logic is SQL's, except that a reference either leads to a row
 * that is selected or does not.
 */
export function compileFilter(
  table: Table,
  kind: Kind,
  filter: Filter,
  names: TableNames,
  params: ParameterSink,
): string {
  switch (filter.is) {
    case 'and':
    case 'or': {
      if (filter.of.length === 0) return filter.is === 'and' ? '(TRUE)' : '(FALSE)'
      const parts = filter.of.map(part => compileFilter(table, kind, part, names, params))
      return `(${parts.join(filter.is === 'and' ? ' AND ' : ' OR ')})`
    }
    case 'not':
      return `(NOT ${compileFilter(table, kind, filter.of, names, params)})`
    case 'through':
      return compileThrough(table, kind, filter, names, params)
    default: {
      const column = columnOf(table, filter.column)
      return compileOperand(quoted(column.name), column.type, filter, params)
    }
  }
}

/** A comparison of any operand of a known type (a column, or a measure in HAVING) as SQL in brackets. */
export function compileOperand(
  operand: string,
  type: LogicalType,
  filter: Extract<Filter, { is: 'compare' | 'in' | 'null' }>,
  params: ParameterSink,
): string {
  switch (filter.is) {
    case 'null':
      return `(${operand} IS ${filter.negated ? 'NOT ' : ''}NULL)`
    case 'in': {
      const fitted = filter.values.map(value => comparable(value, type)).filter(({ exact }) => exact)
      if (fitted.length === 0 && filter.values.length > 0) return isNever(operand, filter.negated)
      const widest = fitted.find(each => each.type !== type)?.type ?? type
      const list = params.list(
        fitted.map(({ value }) => value),
        widest,
      )
      // A list that is unnested becomes a hash join; a long IN (…) costs 50 times as much to plan.
      return `(${operand} ${filter.negated ? 'NOT ' : ''}IN (SELECT unnest(${list})))`
    }
    case 'compare': {
      const { op } = filter
      if (op === 'like' || op === 'ilike') {
        return `(${operand} ${op.toUpperCase()} ${params.value(filter.value, 'VARCHAR')} ESCAPE '\\')`
      }
      const fitted = comparable(filter.value, type)
      if (!fitted.exact && (op === 'eq' || op === 'neq')) return isNever(operand, op === 'neq')
      return `(${operand} ${(fitted.exact ? EXACT : ROUNDED_DOWN)[op]} ${params.value(fitted.value, fitted.type)})`
    }
  }
}

const EXACT = { eq: '=', neq: '<>', gt: '>', gte: '>=', lt: '<', lte: '<=' } as const
/** `x < 1.23456` is `x <= 1.2345` where x has four places. */
const ROUNDED_DOWN = { eq: '=', neq: '<>', gt: '>', gte: '>', lt: '<=', lte: '<=' } as const

/** What no value of the operand can equal: false (or its opposite), and null where the operand is. */
const isNever = (operand: string, negated: boolean): string => `(${operand} ${negated ? '=' : '<>'} ${operand})`

/**
 * An uncorrelated IN: nothing in it has to name the outer row. `IS TRUE` makes "leads nowhere" false instead of null,
 * so that `not` selects such rows, and costs nothing.
 */
function compileThrough(
  table: Table,
  kind: Kind,
  filter: Extract<Filter, { is: 'through' }>,
  names: TableNames,
  params: ParameterSink,
): string {
  const reference = table.references.find(({ as }) => as === filter.as)
  const target = reference && kind.tables.get(reference.table)
  if (!reference || !target) throw new Error(`table ${table.name} has no reference ${filter.as}`)
  // Nulls are equal in a key: rows compare so as structs, and as plain columns not.
  const nullable =
    reference.columns.some(name => columnOf(table, name).nullable) &&
    target.key.some(name => columnOf(target, name).nullable)
  const tuple = (columns: readonly string[]) => `${nullable ? 'row' : ''}(${columns.map(quoted).join(', ')})`
  const keys = nullable ? tuple(target.key) : target.key.map(quoted).join(', ')
  const inner = compileFilter(target, kind, filter.of, names, params)
  return `((${tuple(reference.columns)} IN (SELECT ${keys} FROM ${names.table(target.name)} WHERE ${inner})) IS TRUE)`
}

function columnOf(table: Table, name: string): Column {
  const column = table.columns.get(name)
  if (!column) throw new Error(`table ${table.name} has no column ${name}`)
  return column
}
