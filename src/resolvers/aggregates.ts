import type { TableResolvers } from '../../schema/resolvers.ts'
import type { ColumnMeasure, GroupSource, SnapshotSource } from '../../schema/shapes.ts'
import type { AggregatePlan, AggregateRow, Group, Measure } from '../engine/plan.ts'
import type { Table } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import { parseWhere } from '../kinds/where.ts'
import { type AggregateArguments, groupsOf, havingOf, ordersOf } from './aggregate-arguments.ts'
import { timesSelected } from './answer-budget.ts'
import type { PositionPart } from './cursors.ts'
import { measureType } from './measures.ts'
import { pageOf, pageRequest } from './pages.ts'
import { readReferences } from './references.ts'
import { columnOf } from './row-tables.ts'
import { type Selection, selectedNodes } from './selection.ts'

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
    const parts = selectedNodes(info)
    const times = [...parts.keys()].reduce(
      (most, name) => Math.max(most, timesSelected(selectedNodes(info, name))),
      timesSelected(parts),
    )
    return pageOf<GroupSource>(request, {
      async read(limit) {
        const reader = await snapshot.reader()
        const found = context.budget.charge(await reader.aggregate({ ...plan, ...after, limit }, context.signal), times)
        const node = groupsIn(snapshot, table, plan)
        const edges = found.map(row => ({
          node: node(row),
          cursor: () => context.cursors.encode(scope, row.position),
        }))
        const selection = selectedNodes(info, 'group')
        const selectedReferences = referencesAmong(selection, referencesOf(table, groups))
        await readReferences(
          edges.map(({ node }) => node),
          { snapshot, table, selection: selectedReferences, info, context },
        )
        return edges
      },
      goesOn: () => context.reading.paged(snapshot.version),
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

/** What makes a group of a row: where its measures are is looked up once for all. */
function groupsIn(
  snapshot: SnapshotSource,
  table: Table,
  { groups, measures }: Pick<AggregatePlan, 'groups' | 'measures'>,
): (row: AggregateRow) => GroupSource {
  const whole = referencesOf(table, groups)
  const places = COLUMN_MEASURES.map(is => ({
    is,
    columns: measures.flatMap((measure, index) => (measure.is === is ? [{ column: measure.column, index }] : [])),
  }))
  const count = measures.findIndex(({ is }) => is === 'count')
  return row => {
    const values: Record<string, Value> = {}
    for (const [index, { column }] of groups.entries()) values[column] = row.groups[index] ?? null
    const of = {} as Record<ColumnMeasure, Row>
    for (const { is, columns } of places) {
      const measured: Record<string, Value> = {}
      for (const { column, index } of columns) measured[column] = row.measures[index] ?? null
      of[is] = measured
    }
    return { snapshot, table, values, whole, measures: { count: row.measures[count] ?? null, ...of } }
  }
}

/** Those alone of the selected references that a group has. */
const referencesAmong = (selection: Selection, whole: ReadonlySet<string>): Selection =>
  new Map([...selection].filter(([name]) => whole.has(name)))

function referencesOf(table: Table, groups: readonly Group[]): Set<string> {
  const whole = new Set(groups.filter(({ bucket }) => !bucket).map(({ column }) => column))
  return new Set(table.references.filter(({ columns }) => columns.every(name => whole.has(name))).map(({ as }) => as))
}
