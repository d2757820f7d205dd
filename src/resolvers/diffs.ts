import type { TableResolvers } from '../../schema/resolvers.ts'
import type { DiffSource, SnapshotAtInput } from '../../schema/shapes.ts'
import { parseWhere } from '../kinds/where.ts'
import { TeatreeError } from '../platform/errors.ts'
import { pageOf, pageRequest } from './pages.ts'
import { columnOf } from './rows.ts'
import { columnsOf, refers, selected } from './selection.ts'
import { acquire } from './snapshot-source.ts'

/** What changed in a table from an older version to the snapshot's. */
export const diffs: Pick<TableResolvers, 'diff'> = {
  async diff(snapshot, table, args, context, info) {
    const request = pageRequest(args)
    const where = parseWhere(snapshot.kind, table, args.where ?? {})
    const scope = `diff ${snapshot.kind.name} ${table.name}`
    const parts = table.key.map(name => columnOf(table, name))
    const position = request.after === null ? {} : { after: context.cursors.decode(scope, parts, request.after) }
    const sides = ['before', 'after'].flatMap(side => [
      ['nodes', side],
      ['edges', 'node', side],
    ])
    const selection = selected(info, ...sides)
    const columns = columnsOf(table, selection)
    const older = await acquire(snapshot.model, args.from as SnapshotAtInput, 0, context)
    const { version } = snapshot.version
    if (older.version.version > version)
      throw new TeatreeError('BAD_VALUE', `from: version ${older.version.version} is newer than ${version}.`)
    return pageOf<DiffSource>(request, {
      async read(limit) {
        const [to, from] = await Promise.all([snapshot.reader(), older.reader()])
        const plan = { table: table.name, columns, where, limit, ...position }
        const found = await to.diff(from, plan, context.signal)
        return found.map(({ change, key, before, after }) => ({
          node: {
            change,
            before: before && { snapshot: older, table, values: before },
            after: after && { snapshot, table, values: after },
          },
          cursor: () => context.cursors.encode(scope, key),
        }))
      },
      atOnce: refers(table, selection),
      goesOn() {
        for (const side of [snapshot, older]) context.reading.paged(side.version)
      },
    })
  },
}
