import type { Column, Table } from '../../kinds/kind.ts'
import type { Row, Value } from '../../kinds/types.ts'
import type { Filter, Order, RowsPlan } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { frameOf, literalOf } from './columns.ts'
import { behind, firstInOrder, type OrderKey, reversed } from './keyset.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'
import { allOf, type Frames, selected } from './where.ts'

/** What Polars is asked for: a frame that is yet to be computed, and its columns. */
export interface Asked {
  frame: LazyDataFrame
  columns: readonly Pick<Column, 'name' | 'type'>[]
  /** Whether its rows come in the order from its end. */
  isReversed?: boolean
  /** Throws where a row that came of it may be wrong. */
  check?: (row: Row) => void
}

/** The same, where it can be asked of parts of the rows as well. */
export interface AskedOfRows extends Asked {
  /** Makes one answer of those of parts, which are in one frame. */
  together(all: LazyDataFrame): LazyDataFrame
}

/** A page of rows: the plan's columns and those of its order. */
export function pageOfRows(frames: Frames, plan: RowsPlan): AskedOfRows {
  const table = tableOf(frames.kind, plan.table)
  const order = plan.orderBy.map(by => orderKey(table, by))
  const positions = [
    ...(plan.after ? [behind(order, plan.after)] : []),
    ...(plan.before ? [behind(reversed(order), plan.before)] : []),
  ]
  const all = frames.frame(table.name, { is: 'page', plan })
  const rows = positions.length > 0 ? all.filter(allOf(positions)) : all
  const columns = columnsOf(table, [...plan.columns, ...plan.orderBy.map(({ column }) => column)])
  const found = only(selected(frames, table, rows, plan.where), columns)
  const together = (all: LazyDataFrame) => firstInOrder(all, plan.last ? reversed(order) : order, plan.limit)
  return { frame: together(found), together, columns, isReversed: plan.last === true }
}

/** How many rows the filter selects, as `count`. */
export function countOfRows(frames: Frames, tableName: string, where: Filter): AskedOfRows {
  const table = tableOf(frames.kind, tableName)
  return counted(selected(frames, table, frames.frame(table.name, { is: 'where', where }), where))
}

/** What the frame's rows are counted by, as `count`. */
export const counted = (frame: LazyDataFrame, count: Expr = pl.len()): AskedOfRows => ({
  frame: frame.select(count.cast(pl.Int64).alias('count')),
  together: all => all.select(pl.col('count').sum()),
  columns: [{ name: 'count', type: 'BIGINT' }],
})

/** The rows that have one of the keys; nulls are equal, as in every key. */
export function rowsByKeys(
  frames: Frames,
  tableName: string,
  names: readonly string[],
  keyColumns: readonly string[],
  keys: readonly (readonly Value[])[],
): AskedOfRows {
  const table = tableOf(frames.kind, tableName)
  const columns = columnsOf(table, [...names, ...keyColumns])
  const where: Filter = {
    is: 'and',
    of: keyColumns.flatMap((column, index): Filter[] => {
      const values = keys.map(key => key[index] ?? null)
      return values.includes(null)
        ? []
        : [{ is: 'in', column, values: values.filter(value => value !== null), negated: false }]
    }),
  }
  const rows = only(frames.frame(table.name, { is: 'where', where }), columns)
  const [key, ...more] = keys
  const together = (all: LazyDataFrame) => all
  if (key && more.length === 0) return { frame: rows.filter(isKey(table, keyColumns, key)), together, columns }
  const wanted = frameOf(
    columnsOf(table, keyColumns),
    keys.map(key => Object.fromEntries(keyColumns.map((name, index) => [name, key[index] ?? null]))),
  )
  const frame = rows.join(wanted.lazy(), { on: [...keyColumns], how: 'semi', nullsEqual: true })
  return { frame, together, columns }
}

/** Of a single key: plain comparisons take less than a join. */
const isKey = (table: Table, keyColumns: readonly string[], key: readonly Value[]): Expr =>
  allOf(
    keyColumns.map((name, index) => {
      const value = key[index] ?? null
      return value === null ? pl.col(name).isNull() : pl.col(name).eq(literalOf(columnOf(table, name).type, value))
    }),
  )

/** Each of the table's columns once. */
const columnsOf = (table: Table, names: readonly string[]): Column[] =>
  [...new Set(names)].map(name => columnOf(table, name))

const only = (frame: LazyDataFrame, columns: readonly Pick<Column, 'name'>[]): LazyDataFrame =>
  frame.select(columns.map(({ name }) => pl.col(name)))

function orderKey(table: Table, { column, direction, nulls }: Order): OrderKey {
  return { column, type: columnOf(table, column).type, direction, nulls }
}
