import { sideColumn } from '../diff-rows.ts'
import type { DiffPlan } from '../plan.ts'
import { columnOf, tableOf } from '../plan-tables.ts'
import { behind, firstInOrder, type OrderKey } from './keyset.ts'
import pl, { type Expr, type LazyDataFrame } from './polars.ts'
import type { Asked } from './rows.ts'
import { allOf, anyOf, type Frames, selecting } from './where.ts'

/** A version, and those of the table's rows that may not be in the other, too. */
export interface Side {
  frames: Frames
  rows: LazyDataFrame
}

/**
 * A page of changes, as diff-rows.ts has them: both versions' rows side by side, joined by the key. A key has one row in a
 * version, so that of a row that may differ the other is among those that may, too.
 */
export function pageOfChanges(older: Side, newer: Side, plan: DiffPlan): Asked {
  const table = tableOf(newer.frames.kind, plan.table)
  const order = table.key.map((column): OrderKey => ascending(column, columnOf(table, column).type))
  const side = (of: 'older' | 'newer', { frames, rows }: Side): LazyDataFrame => {
    const rest = plan.after ? rows.filter(behind(order, plan.after)) : rows
    const { frame, selects } = selecting(frames, table, rest, [plan.where])
    return frame.select(
      pl.lit(true).alias(sideColumn(of, 'is there')),
      allOf(selects).alias(sideColumn(of, 'is selected')),
      ...[...table.columns.keys()].map(name => pl.col(name).alias(sideColumn(of, name))),
    )
  }
  const both = (name: string) => [pl.col(sideColumn('older', name)), pl.col(sideColumn('newer', name))] as const
  const changed = [...table.columns.keys()]
    .filter(name => !table.key.includes(name))
    .map(name => distinct(...both(name)))
  const isShown = both('is selected')
  const differs = [...both('is there').map(isThere => isThere.isNull()), ...changed]
  const joined = side('older', older)
    .join(side('newer', newer), {
      leftOn: table.key.map(name => sideColumn('older', name)),
      rightOn: table.key.map(name => sideColumn('newer', name)),
      how: 'full',
      nullsEqual: true,
      coalesce: false,
    })
    .filter(allOf([anyOf(isShown), anyOf(differs)]))
    .withColumns(...table.key.map(name => keyOf(...both(name)).alias(keyColumn(name))))
  const columns = (['older', 'newer'] as const).flatMap(of => [
    { name: sideColumn(of, 'is there'), type: 'BOOLEAN' as const },
    ...[...new Set([...plan.columns, ...table.key])].map(name => ({
      name: sideColumn(of, name),
      type: columnOf(table, name).type,
    })),
  ])
  const page = order.map(key => ({ ...key, column: keyColumn(key.column) }))
  return { frame: firstInOrder(joined, page, plan.limit), columns }
}

const ascending = (column: string, type: OrderKey['type']): OrderKey => ({
  column,
  type,
  direction: 'ASC',
  nulls: 'LAST',
})

const keyColumn = (name: string) => `key ${name}`
const keyOf = (older: Expr, newer: Expr): Expr =>
  pl
    .when(pl.col(sideColumn('newer', 'is there')).isNotNull())
    .then(newer)
    .otherwise(older)

/** Whether they differ, where nulls are equal. */
const distinct = (a: Expr, b: Expr): Expr => a.neq(b).fillNull(a.isNull().neq(b.isNull()))
