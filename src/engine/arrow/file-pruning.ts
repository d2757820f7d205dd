import type { Table } from '../../kinds/kind.ts'
import { decimalOf, type Value } from '../../kinds/types.ts'
import type { Filter, RowsPlan } from '../plan.ts'
import { columnOf } from '../plan-tables.ts'
import { orderOf } from './key-ranges.ts'
import type { RangeValue, TableFile } from './manifest.ts'

/*
 * Which of a table's files need not be looked at, by between what the values of their key columns lie. A column of which
 * that is known holds no nulls.
 */

/** Whether the file may have a row that the filter selects. */
export function mayHold(table: Table, file: TableFile, filter: Filter): boolean {
  switch (filter.is) {
    case 'and':
      return filter.of.every(part => mayHold(table, file, part))
    case 'or':
      return filter.of.some(part => mayHold(table, file, part))
    case 'not':
    case 'through':
      return true
    default: {
      const range = rangeOf(table, file, filter.column)
      if (!range) return true
      if (filter.is === 'null') return filter.negated
      const { least, most, order } = range
      const within = (value: RangeValue) => order(least, value) <= 0 && order(value, most) <= 0
      if (filter.is === 'in') return filter.negated || filter.values.some(within)
      const { op, value } = filter
      switch (op) {
        case 'eq':
          return within(value)
        case 'gt':
          return order(most, value) > 0
        case 'gte':
          return order(most, value) >= 0
        case 'lt':
          return order(least, value) < 0
        case 'lte':
          return order(least, value) <= 0
        default:
          return true
      }
    }
  }
}

/** The files that a page may have rows of. */
export function filesOfPage(table: Table, files: readonly TableFile[], plan: RowsPlan): readonly TableFile[] {
  const [first] = plan.orderBy
  const isUp = first?.direction === 'ASC'
  const bounds = first ? [...bound(first.column, isUp, plan.after), ...bound(first.column, !isUp, plan.before)] : []
  const there = files.filter(file => mayHold(table, file, { is: 'and', of: [plan.where, ...bounds] }))
  const selectsAll = plan.where.is === 'and' && plan.where.of.length === 0
  return first && selectsAll ? firstFiles(table, there, first.column, isUp !== (plan.last === true), plan) : there
}

/** What lies at a position or beyond it, in a direction of the column; nothing is known beside nulls. */
function bound(column: string, isUp: boolean, position: readonly Value[] | undefined): Filter[] {
  const value = position?.[0] ?? null
  return value === null ? [] : [{ is: 'compare', column, op: isUp ? 'gte' : 'lte', value }]
}

/**
 * Of a page that selects every row between its positions: those files that may be among the first rows. The files that lie between
 * the positions as a whole have so many rows for the page; what begins behind the last one that it takes has none on it.
 */
function firstFiles(
  table: Table,
  files: readonly TableFile[],
  column: string,
  isUp: boolean,
  { after, before, limit }: RowsPlan,
): readonly TableFile[] {
  const known = files.flatMap(file => {
    const range = rangeOf(table, file, column)
    if (!range) return []
    const { least, most, order } = range
    const [near, far] = isUp ? [least, most] : [most, least]
    return [{ file, near, far, order: isUp ? order : (a: RangeValue, b: RangeValue) => order(b, a) }]
  })
  const order = known[0]?.order
  if (!order || known.length < files.length) return files
  const ends = [after, before].flatMap(position => (position ? [position[0] ?? null] : []))
  const isWhole = ({ near, far }: (typeof known)[number]) =>
    ends.every(end => end !== null && (order(near, end) > 0 || order(far, end) < 0))
  let rows = 0
  for (const { file, far } of known.filter(isWhole).sort((a, b) => order(a.far, b.far))) {
    rows += file.rows
    if (rows >= limit) return known.filter(({ near }) => order(near, far) <= 0).map(each => each.file)
  }
  return files
}

function rangeOf(table: Table, { ranges }: TableFile, name: string) {
  const range = ranges?.[name]
  const { type } = columnOf(table, name)
  // What a decimal is compared with may have more places than the column.
  if (!range || decimalOf(type)) return null
  return { least: range[0], most: range[1], order: orderOf(type) }
}
