import type { TableResolvers } from '../../schema/resolvers.ts'
import type { SnapshotSource } from '../../schema/shapes.ts'
import type { QueryRead, QueryRows } from '../engine/engine.ts'
import type { KindQuery } from '../kinds/kind.ts'
import { refuse } from '../kinds/refuse.ts'
import { canonicalJson, coerceArguments } from '../kinds/validate.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { OperationContext } from './context.ts'
import { once, pageOf, pageRequest } from './pages.ts'
import { selected } from './selection.ts'
import { acquire } from './snapshot-source.ts'

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
      const [reader, reads] = await Promise.all([snapshot.reader(), readsOf(snapshot, query, coerced, context)])
      const page = { limit: request.size + 1, count, ...after }
      return reader.query(query.name, coerced, page, context.signal, reads)
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

/**
 * The versions of other models that the arguments name, held open until the operation has ended. BAD_VALUE where a model
 * is not among the reads, or not of that kind; SNAPSHOT_GONE or SNAPSHOT_NOT_YET where it has no such version.
 */
async function readsOf(
  { model }: SnapshotSource,
  query: KindQuery,
  args: Readonly<Record<string, unknown>>,
  context: OperationContext,
): Promise<QueryRead[]> {
  const named = Object.entries(query.arguments).flatMap(([alias, { type }]) =>
    type.is === 'model'
      ? [{ alias, of: type.of, id: String(args[alias]), version: Number(args[type.version ?? '']) }]
      : [],
  )
  if (named.length === 0) return []
  const allowed = await context.services.models.reads(model.id)
  return Promise.all(
    named.map(async ({ alias, of, id, version }) => {
      const read = allowed.find(other => other.id === id)
      if (!read) return refuse(alias, `model ${id} is not among the models that this one reads`)
      if (read.kind !== of) return refuse(alias, `model ${id} is of kind ${read.kind}; give one of kind ${of}`)
      if (read.engine !== model.engine)
        throw new TeatreeError(
          'ENGINE_NOT_SUPPORTED',
          `Model ${id} is on ${read.engine}, and this one on ${model.engine}.`,
        )
      const source = await acquire(read, { version }, 0, context)
      return { alias, model: id, reader: await source.reader() }
    }),
  )
}
