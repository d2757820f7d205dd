import type { TableResolvers } from '../../schema/resolvers.ts'
import type { RowSource, SnapshotSource } from '../../schema/shapes.ts'
import type { Order } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import { readAt, refuse } from '../kinds/refuse.ts'
import type { Row, Value } from '../kinds/types.ts'
import { coerce } from '../kinds/values.ts'
import { parseWhere } from '../kinds/where.ts'
import { keyName, type OperationContext } from './context.ts'
import { pageOf, pageRequest } from './pages.ts'
import { columnsOf, refers, selected, selectedNodes } from './selection.ts'

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
        const found = await reader.rows(plan, context.signal)
        return found.map(values => ({
          node: { snapshot, table, values },
          cursor: () =>
            context.cursors.encode(
              scope,
              orderBy.map(({ column }) => values[column] ?? null),
            ),
        }))
      },
      goesOn: () => context.reading.paged(snapshot.version),
      atOnce: refers(table, selection),
      count: async () => (await snapshot.reader()).count(table.name, where, context.signal),
    })
  },

  row(snapshot, table, key, context, info) {
    const values = table.key.map((name): Value => {
      const { type } = columnOf(table, name)
      const value = key[name] ?? null
      return value === null ? null : readAt(name, () => coerce(type, value))
    })
    return loadRow(snapshot, table, columnsOf(table, selected(info)), values, context)
  },

  async reference({ snapshot, values }, reference, context, info) {
    const target = tableOf(snapshot, reference.table)
    const key = reference.columns.map(name => values[name] ?? null)
    // Nulls are equal in a key, but only a column that may be null has them.
    const leads = key.every((value, index) => value !== null || columnOf(target, target.key[index] ?? '').nullable)
    return leads ? loadRow(snapshot, target, columnsOf(target, selected(info)), key, context) : null
  },
}

/** One row; what a page asks for row by row is read in one go. */
async function loadRow(
  snapshot: SnapshotSource,
  table: Table,
  columns: readonly string[],
  key: readonly Value[],
  context: OperationContext,
): Promise<RowSource | null> {
  const { model, version } = snapshot.version
  const batch = context.rowsByKey(JSON.stringify([model, version, table.name, columns]), async keys => {
    const reader = await snapshot.reader()
    const found = await reader.readByKeys(table.name, columns, table.key, keys, context.signal)
    return new Map(found.map((row: Row) => [keyName(table.key.map(name => row[name] ?? null)), row]))
  })
  const values = await batch.load(key)
  return values && { snapshot, table, values }
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

export function columnOf(table: Table, name: string) {
  return table.columns.get(name) ?? refuse('column', `${table.name} has no column ${name}`)
}

function tableOf({ kind }: SnapshotSource, name: string): Table {
  const table = kind.tables.get(name)
  if (!table) throw new Error(`kind ${kind.name} has no table ${name}`)
  return table
}
