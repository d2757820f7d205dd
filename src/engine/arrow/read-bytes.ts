import type { Kind, Table } from '../../kinds/kind.ts'
import { type TypeName, typeName } from '../../kinds/types.ts'
import type { Filter, Measure } from '../plan.ts'
import { type PlanRead, tableRead } from '../plan-reads.ts'
import { columnOf, tableOf } from '../plan-tables.ts'

/** What a read may need in memory at most, in bytes. */
export interface ReadBytes {
  perRow: number
  /** Of other tables, however few of the rows are read at once. */
  beside: number
}

/**
 * The columns that the read looks at, as they are gathered for an order, a join or groups. Files are mapped, and take none; texts
 * stay where they are.
 * @param rows how many rows a table has
 */
export function bytesOfRead(kind: Kind, read: PlanRead, rows: (table: string) => number): ReadBytes {
  const table = tableOf(kind, tableRead(read))
  const looked = new Set<string>()
  const besides = 'where' in read ? read.where : 'plan' in read ? read.plan.where : null
  const beside = besides ? lookedAt(kind, table, besides, looked, rows) : 0
  if (read.is === 'rows')
    for (const name of [...read.plan.columns, ...read.plan.orderBy.map(({ column }) => column)]) looked.add(name)
  if (read.is === 'rows by keys') for (const name of [...read.columns, ...read.keyColumns]) looked.add(name)
  if (read.is !== 'groups' && read.is !== 'count of groups') return { perRow: widthOf(table, looked), beside }
  const { groups, measures, having } = read.plan
  const columns = [...measures, ...having.map(({ measure }) => measure)].map(columnOfMeasure)
  for (const name of [...groups.map(({ column }) => column), ...columns]) if (name !== null) looked.add(name)
  return { perRow: widthOf(table, looked) + (groups.length > 0 ? GROUP_BYTES : 0), beside }
}

/** The same of columns that a kind's code asks for, to do with as it likes. */
export const bytesOfColumns = (table: Table, columns: readonly string[], rows: number): number =>
  rows * widthOf(table, new Set(columns))

const columnOfMeasure = (measure: Measure): string | null => ('column' in measure ? measure.column : null)

/** What a row may take in the table of groups, where each is one. */
const GROUP_BYTES = 48

const WIDTHS: Record<TypeName, number> = {
  VARCHAR: 16,
  DECIMAL: 16,
  BIGINT: 8,
  DOUBLE: 8,
  TIMESTAMP: 8,
  INTEGER: 4,
  DATE: 4,
  BOOLEAN: 1,
}
const widthOf = (table: Table, columns: ReadonlySet<string>): number =>
  [...columns].reduce((sum, name) => sum + WIDTHS[typeName(columnOf(table, name).type)], 0)

/** Adds the columns that the filter looks at; answers with what it needs of other tables. */
function lookedAt(
  kind: Kind,
  table: Table,
  filter: Filter,
  looked: Set<string>,
  rows: (table: string) => number,
): number {
  switch (filter.is) {
    case 'and':
    case 'or':
      return filter.of.reduce((sum, part) => sum + lookedAt(kind, table, part, looked, rows), 0)
    case 'not':
      return lookedAt(kind, table, filter.of, looked, rows)
    case 'through': {
      const reference = table.references.find(({ as }) => as === filter.as)
      if (!reference) throw new Error(`table ${table.name} has no reference ${filter.as}`)
      const target = tableOf(kind, reference.table)
      for (const name of reference.columns) looked.add(name)
      const there = new Set(target.key)
      const beside = lookedAt(kind, target, filter.of, there, rows)
      return rows(target.name) * (widthOf(target, there) + GROUP_BYTES) + beside
    }
    default:
      looked.add(filter.column)
      return 0
  }
}
