import type { TableResolvers } from '../../schema/resolvers.ts'
import type { RowSource } from '../../schema/shapes.ts'
import type { Order } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import { readAt } from '../kinds/refuse.ts'
import type { Value } from '../kinds/types.ts'
import { coerce } from '../kinds/values.ts'
import { parseWhere } from '../kinds/where.ts'
import { timesSelected } from './answer-budget.ts'
import { pageOf, pageRequest } from './pages.ts'
import { keyOf, loadRow, readReferences } from './references.ts'
import { columnOf, tableOf } from './row-tables.ts'
import { columnsOf, selected, selectedNodes } from './selection.ts'

/** Rows of a snapshot: pages of them, one by its key, and those that rows refer to. */
export const rows: Pick<TableResolvers, 'rows' | 'row' | 'reference'> = {
  rows(snapshot, table, args, context, info) {
    const request = pageRequest(args)
    const where = parseWhere(snapshot.kind, table, args.where ?? {})
    const orderBy = completeOrder(table, (args.orderBy ?? []) as readonly Partial<Order>[])
    const scope = `rows ${snapshot.kind.name} ${table.name} ${JSON.stringify(orderBy)}`
    const parts = orderBy.map(({ column }) => columnOf(table, column))
    const position = {
      ...(request.after !== null && { after: context.cursors.decode(scope, parts, request.after) }),
      ...(request.before !== null && { before: context.cursors.decode(scope, parts, request.before) }),
    }
    const selection = selectedNodes(info)
    const columns = columnsOf(table, selection)
    return pageOf<RowSource>(request, {
      async read(limit) {
        const reader = await snapshot.reader()
        const plan = { table: table.name, columns, where, orderBy, limit, last: request.last, ...position }
        const found = context.budget.charge(await reader.rows(plan, context.signal), timesSelected(selection))
        const nodes = found.map((values): RowSource => ({ snapshot, table, values }))
        await readReferences(nodes, { snapshot, table, selection, info, context })
        return nodes.map(node => ({
          node,
          cursor: () =>
            context.cursors.encode(
              scope,
              orderBy.map(({ column }) => node.values[column] ?? null),
            ),
        }))
      },
      goesOn: () => context.reading.paged(snapshot.version),
      count: async () => (await snapshot.reader()).count(table.name, where, context.signal),
    })
  },

  row(snapshot, table, key, context, info) {
    const values = table.key.map((name): Value => {
      const { type } = columnOf(table, name)
      const value = key[name] ?? null
      return value === null ? null : readAt(name, () => coerce(type, value))
    })
    return loadRow(snapshot, table, selected(info), values, context)
  },

  reference({ snapshot, values, references }, reference, context, info) {
    const read = references?.get(reference.as)
    if (read !== undefined) return read
    const target = tableOf(snapshot, reference.table)
    const key = keyOf(target, reference, values)
    return key && loadRow(snapshot, target, selected(info), key, context)
  },
}

/** The order as it was asked for, then the key: it tells all rows apart. */
export function completeOrder(table: Table, orderBy: readonly Partial<Order>[]): Order[] {
  const wanted: Partial<Order>[] = [...orderBy, ...table.key.map(column => ({ column }))]
  const orders = new Map<string, Order>()
  for (const { column = '', direction, nulls } of wanted) {
    // what comes a second time has nothing left to order
    if (!orders.has(column)) orders.set(column, { column, direction: direction ?? 'ASC', nulls: nulls ?? 'LAST' })
  }
  return [...orders.values()]
}
