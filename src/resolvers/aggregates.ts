import type { TableResolvers } from '../../schema/resolvers.ts'
import type { ColumnMeasure, GroupMeasures, GroupSource, SnapshotSource } from '../../schema/shapes.ts'
import type { AggregatePlan, AggregateRow, Group, Measure } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import type { Row } from '../kinds/types.ts'
import { parseWhere } from '../kinds/where.ts'
import { type AggregateArguments, groupsOf, havingOf, ordersOf } from './aggregate-arguments.ts'
import type { PositionPart } from './cursors.ts'
import { measureType } from './measures.ts'
import { pageOf, pageRequest } from './pages.ts'
import { columnOf } from './rows.ts'
import { refers, selectedNodes } from './selection.ts'

const COLUMN_MEASURES = ['sum', 'avg', 'min', 'max', 'countDistinct'] as const satisfies readonly ColumnMeasure[]

/** Groups of rows, with the measures that were selected. */
export const aggregates: Pick<TableResolvers, 'groups'> = {
  groups(snapshot, table, args, context, info) {
    const request = pageRequest(args)
    const { groupBy, having, orderBy } = args as AggregateArguments
    const groups = groupsOf(table, groupBy ?? [])
    const plan: Omit<AggregatePlan, 'limit'> = {
      table: table.name,
      where: parseWhere(snapshot.kind, table, args.where ?? {}),
      groups,
      measures: measuresSelected(name => selectedNodes(info, ...name)),
      having: havingOf(table, having ?? []),
      orderBy: ordersOf(table, groups, orderBy ?? []),
    }
    const scope = `groups ${snapshot.kind.name} ${table.name} ${JSON.stringify([groups, plan.orderBy])}`
    const after =
      request.after === null ? {} : { after: context.cursors.decode(scope, positionParts(table, plan), request.after) }
    return pageOf<GroupSource>(request, {
      async read(limit) {
        const reader = await snapshot.reader()
        const found = await reader.aggregate({ ...plan, ...after, limit }, context.signal)
        return found.map(row => ({
          node: groupOf(snapshot, table, plan, row),
          cursor: () => context.cursors.encode(scope, row.position),
        }))
      },
      goesOn: () => context.reading.paged(snapshot.version),
      atOnce: refers(table, selectedNodes(info, 'group')),
      count: async () => (await snapshot.reader()).countGroups({ ...plan, limit: 1 }, context.signal),
    })
  },
}

/** `below` gives the fields selected below a path of the aggregate's own. */
function measuresSelected(below: (path: readonly string[]) => ReadonlyMap<string, unknown>): Measure[] {
  const columns = COLUMN_MEASURES.flatMap(is =>
    [...below([is]).keys()].filter(name => !name.startsWith('__')).map(column => ({ is, column })),
  )
  return below([]).has('count') ? [{ is: 'count' }, ...columns] : columns
}

function positionParts(table: Table, { groups, orderBy }: Pick<AggregatePlan, 'groups' | 'orderBy'>): PositionPart[] {
  return orderBy.map(({ by }) => {
    const column = by.is === 'group' ? groups[by.index]?.column : undefined
    if (column !== undefined) return columnOf(table, column)
    return { type: measureType(table, by as Measure), nullable: true }
  })
}

function groupOf(
  snapshot: SnapshotSource,
  table: Table,
  { groups, measures }: Pick<AggregatePlan, 'groups' | 'measures'>,
  row: AggregateRow,
): GroupSource {
  const values = new Map(measures.map((measure, index) => [measure, row.measures[index] ?? null]))
  const of = (is: ColumnMeasure): Row =>
    Object.fromEntries([...values].flatMap(([measure, value]) => (measure.is === is ? [[measure.column, value]] : [])))
  const count = [...values].find(([{ is }]) => is === 'count')?.[1] ?? null
  return {
    snapshot,
    table,
    groups: Object.fromEntries(groups.map(({ column }, index) => [column, row.groups[index] ?? null])),
    references: referencesOf(table, groups),
    measures: {
      count,
      ...(Object.fromEntries(COLUMN_MEASURES.map(is => [is, of(is)])) as Omit<GroupMeasures, 'count'>),
    },
  }
}

function referencesOf(table: Table, groups: readonly Group[]): Set<string> {
  const whole = new Set(groups.filter(({ bucket }) => !bucket).map(({ column }) => column))
  return new Set(table.references.filter(({ columns }) => columns.every(name => whole.has(name))).map(({ as }) => as))
}
