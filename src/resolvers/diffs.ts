import type { TableResolvers } from '../../schema/resolvers.ts'
import type { DiffSource, SnapshotAtInput, SnapshotSource } from '../../schema/shapes.ts'
import { parseWhere } from '../kinds/where.ts'
import { TeatreeError } from '../platform/errors.ts'
import { timesSelected } from './answer-budget.ts'
import { pageOf, pageRequest } from './pages.ts'
import { readReferences } from './references.ts'
import { columnOf } from './row-tables.ts'
import { columnsOf, selectedNodes } from './selection.ts'
import { acquire } from './snapshot-source.ts'

/** What changed in a table from an older version to the snapshot's. */
export const diffs: Pick<TableResolvers, 'diff'> = {
  async diff(snapshot, table, args, context, info) {
    const request = pageRequest(args)
    const where = parseWhere(snapshot.kind, table, args.where ?? {})
    const scope = `diff ${snapshot.kind.name} ${table.name}`
    const parts = table.key.map(name => columnOf(table, name))
    const position = request.after === null ? {} : { after: context.cursors.decode(scope, parts, request.after) }
    const sides = { before: selectedNodes(info, 'before'), after: selectedNodes(info, 'after') }
    const columns = [...new Set(Object.values(sides).flatMap(side => columnsOf(table, side)))]
    const times = Math.max(...Object.values(sides).map(timesSelected))
    const older = await acquire(snapshot.model, args.from as SnapshotAtInput, 0, context)
    const { version } = snapshot.version
    if (older.version.version > version)
      throw new TeatreeError('BAD_VALUE', `from: version ${older.version.version} is newer than ${version}.`)
    return pageOf<DiffSource>(request, {
      async read(limit) {
        const [to, from] = await Promise.all([snapshot.reader(), older.reader()])
        const plan = { table: table.name, columns, where, limit, ...position }
        const found = context.budget.charge(await to.diff(from, plan, context.signal), times)
        const edges = found.map(({ change, key, before, after }) => ({
          node: {
            change,
            before: before && { snapshot: older, table, values: before },
            after: after && { snapshot, table, values: after },
          },
          cursor: () => context.cursors.encode(scope, key),
        }))
        const read = (of: SnapshotSource, side: 'before' | 'after') =>
          readReferences(
            edges.flatMap(({ node }) => node[side] ?? []),
            { snapshot: of, table, selection: sides[side], info, context },
          )
        await Promise.all([read(older, 'before'), read(snapshot, 'after')])
        return edges
      },
      goesOn() {
        for (const side of [snapshot, older]) context.reading.paged(side.version)
      },
    })
  },
}
