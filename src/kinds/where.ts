import { ALL, type CompareOperator, type Filter } from '../engine/plan.ts'
import type { Column, Kind, Table } from './kind.ts'
import { readAt, refuse } from './refuse.ts'
import { type LogicalType, type TypeName, typeName, type Value } from './types.ts'
import { coerceOperand, isRecord, shown } from './values.ts'

/** How deep and, not and references may nest. */
export const MAX_WHERE_DEPTH = 20
/** How many values and branches one where may hold in all. */
export const MAX_WHERE_OPERANDS = 10_000

const NONE: Filter = { is: 'or', of: [] }

const COMPARISONS = ['eq', 'neq', 'gt', 'gte', 'lt', 'lte'] as const satisfies readonly CompareOperator[]
const PATTERNS = ['like', 'ilike'] as const satisfies readonly CompareOperator[]
const ORDERED: readonly string[] = [...COMPARISONS, 'in', 'notIn', 'isNull']
const OPERATORS: Record<TypeName, readonly string[]> = {
  VARCHAR: [...ORDERED, ...PATTERNS],
  INTEGER: ORDERED,
  BIGINT: ORDERED,
  DECIMAL: ORDERED,
  DOUBLE: ORDERED,
  DATE: ORDERED,
  TIMESTAMP: ORDERED,
  BOOLEAN: ['eq', 'isNull'],
}

/**
 * A filter as clients write it (`SaleWhere` in the schema) as an engine takes it. Several keys of one object must all
 * hold; `and: []`, `notIn: []` and `{}` select every row, `or: []` and `in: []` none.
 * @param path what errors call it
 * @throws TeatreeError BAD_VALUE for names, operators and operands that are not the table's; null is no operand
 */
export function parseWhere(kind: Kind, table: Table, where: unknown, path = 'where'): Filter {
  return readWhere(new Reading(kind), table, where, path, 1)
}

/**
 * Like parseWhere, for what changes rows: it must say a condition. Refused is what names no column and no reference
 * (`{}`, `{and: []}`, `{not: {}}`, `{date: {}}`), and what selects every row whatever is in it (`{notIn: []}` alone, an
 * `or` with `{}` in it): a list that came out empty must not delete a table. A condition that selects nothing, such
 * as `{in: []}`, is fine, and changes nothing. Who means every row says so: `{orderId: {isNull: false}}`.
 * @throws TeatreeError BAD_VALUE
 */
export function parseMutationWhere(kind: Kind, table: Table, where: unknown, path = 'where'): Filter {
  const reading = new Reading(kind)
  const filter = readWhere(reading, table, where, path, 1)
  if (reading.conditions === 0 || constant(filter) === true) {
    const never = [...table.columns.values()].find(({ nullable }) => !nullable)
    const hint = never ? `; to mean every row write {${never.name}: {isNull: false}}` : ''
    refuse(path, `says no condition${hint}`)
  }
  return filter
}

/**
 * The operators on one column, `{gte: 1, lt: 5}`; also for measures, which are compared like columns of their type.
 * @throws TeatreeError BAD_VALUE
 */
export function parseComparisons(column: Pick<Column, 'name' | 'type'>, comparisons: unknown, path: string): Filter {
  return readColumn(new Reading(null), column, comparisons, path)
}

/** What one where has used up, and whether it has said anything. */
class Reading {
  readonly kind: Kind | null
  conditions = 0
  #left = MAX_WHERE_OPERANDS

  constructor(kind: Kind | null) {
    this.kind = kind
  }

  spend(operands: number, path: string): void {
    this.#left -= operands
    if (this.#left < 0) refuse(path, `goes beyond the ${MAX_WHERE_OPERANDS} operands that one filter may hold`)
  }
}

function readWhere(reading: Reading, table: Table, where: unknown, path: string, depth: number): Filter {
  if (depth > MAX_WHERE_DEPTH) refuse(path, `nests deeper than ${MAX_WHERE_DEPTH} levels`)
  const branch = (value: unknown, at: string, of: Table = table) => {
    reading.spend(1, at)
    return readWhere(reading, of, value, at, depth + 1)
  }
  return allOf(
    entriesOf(where, path).map(([key, value]): Filter => {
      const at = `${path}.${key}`
      if (key === 'and' || key === 'or') {
        return { is: key, of: listOf(value, at).map((item, index) => branch(item, `${at}[${index}]`)) }
      }
      if (key === 'not') return { is: 'not', of: branch(value, at) }
      const column = table.columns.get(key)
      if (column) return readColumn(reading, column, value, at)
      const reference = table.references.find(({ as }) => as === key)
      const target = reference && reading.kind?.tables.get(reference.table)
      if (!target) return refuse(path, `${table.name} has no ${shown(key)}; there are ${namesIn(table).join(', ')}`)
      reading.conditions++
      return { is: 'through', as: key, of: branch(value, at, target) }
    }),
  )
}

function readColumn(
  reading: Reading,
  column: Pick<Column, 'name' | 'type'>,
  comparisons: unknown,
  path: string,
): Filter {
  const operators = OPERATORS[typeName(column.type)]
  return allOf(
    entriesOf(comparisons, path).map(([operator, operand]): Filter => {
      if (!operators.includes(operator)) {
        refuse(path, `${column.type} has no operator ${shown(operator)}; there are ${operators.join(', ')}`)
      }
      reading.conditions++
      return readOperator(reading, column, operator, operand, `${path}.${operator}`)
    }),
  )
}

function readOperator(
  reading: Reading,
  { name: column, type }: Pick<Column, 'name' | 'type'>,
  operator: string,
  operand: unknown,
  path: string,
): Filter {
  if (operator === 'in' || operator === 'notIn') {
    const list = listOf(operand, path)
    reading.spend(list.length, path)
    const negated = operator === 'notIn'
    if (list.length === 0) return negated ? ALL : NONE
    return { is: 'in', column, values: list.map((item, index) => operandOf(type, item, `${path}[${index}]`)), negated }
  }
  reading.spend(1, path)
  if (operator === 'isNull') {
    return { is: 'null', column, negated: operandOf('BOOLEAN', operand, path) === false }
  }
  const value = operandOf(type, operand, path)
  if ((operator === 'like' || operator === 'ilike') && /(?<!\\)(?:\\\\)*\\$/.test(String(value))) {
    refuse(path, `${shown(value)} ends with a backslash that escapes nothing; write \\\\ for a backslash`)
  }
  return { is: 'compare', column, op: operator as CompareOperator, value }
}

function operandOf(type: LogicalType, operand: unknown, path: string): Exclude<Value, null> {
  if (operand === null || operand === undefined) refuse(path, 'null is no operand; isNull: true asks for it')
  return readAt(path, () => coerceOperand(type, operand))
}

/** The keys that are given; what is undefined was left out. */
function entriesOf(value: unknown, path: string): [string, unknown][] {
  if (!isRecord(value)) return refuse(path, `${shown(value)} is no filter; give an object of conditions`)
  return Object.entries(value).filter(([, item]) => item !== undefined)
}

const listOf = (value: unknown, path: string): readonly unknown[] =>
  Array.isArray(value) ? value : refuse(path, `${shown(value)} is no list`)

const allOf = (filters: readonly Filter[]): Filter => {
  const [only, ...others] = filters
  return only && others.length === 0 ? only : { is: 'and', of: filters }
}

const namesIn = (table: Table): string[] => [
  'and',
  'or',
  'not',
  ...table.columns.keys(),
  ...table.references.map(({ as }) => as),
]

/** True or false where the filter's shape alone says whether it selects; null where it takes a row to tell. */
function constant(filter: Filter): boolean | null {
  if (filter.is === 'not') {
    const inner = constant(filter.of)
    return inner === null ? null : !inner
  }
  if (filter.is !== 'and' && filter.is !== 'or') return null
  const decisive = filter.is === 'or'
  const parts = filter.of.map(constant)
  if (parts.includes(decisive)) return decisive
  return parts.includes(null) ? null : !decisive
}
