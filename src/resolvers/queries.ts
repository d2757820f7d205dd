import type { TableResolvers } from '../../schema/resolvers.ts'
import type { QueryRows } from '../engine/engine.ts'
import { canonicalJson, coerceArguments } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import { timesSelected } from './answer-budget.ts'
import { once, pageOf, pageRequest } from './pages.ts'
import { namedReads, openReads } from './query-reads.ts'
import { selected, selectedNodes } from './selection.ts'

/** The query functions of a kind. */
export const queries: Pick<TableResolvers, 'query'> = {
  query(snapshot, query, args, context, info) {
    const { kind, model } = snapshot
    const request = pageRequest(args)
    if (!query.engines[model.engine])
      throw new TeatreeError('ENGINE_NOT_SUPPORTED', `${query.name} does not run on ${model.engine}.`)
    const given = Object.fromEntries(Object.keys(query.arguments).map(name => [name, args[name]]))
    const coerced = coerceArguments(kind, query, given)
    // Its order is the query's own affair, and may depend on the arguments.
    const scope = `query ${kind.name} ${query.name} ${canonicalJson(coerced)}`
    const after = request.after === null ? {} : { after: context.cursors.decode(scope, null, request.after) }
    const count = selected(info).has('totalCount')
    const answer = once(async (): Promise<QueryRows> => {
      const named = namedReads(model, query, coerced, context)
      const [reader, reads] = await Promise.all([snapshot.reader(), named.then(openReads)])
      const page = { limit: request.size + 1, count, ...after }
      const found = await reader.query(query.name, coerced, page, context.signal, reads)
      context.budget.charge(found.rows, timesSelected(selectedNodes(info)))
      return found
    })
    return {
      ...pageOf(request, {
        async read() {
          const { rows, positions } = await answer()
          return rows.map((node, index) => ({
            node,
            cursor: () => context.cursors.encode(scope, positions[index] ?? []),
          }))
        },
        goesOn: () => context.reading.paged(snapshot.version),
        count: async () => (await answer()).total ?? 0n,
      }),
      page: async () => (await answer()).page,
    }
  },
}
