import type { ModelResolvers } from '../../schema/resolvers.ts'
import { noModel } from '../jobs/ledger.ts'
import type { ModelFilter, ModelPosition } from '../jobs/models.ts'
import { TeatreeError } from '../platform/errors.ts'
import type { Cursors, PositionPart } from './cursors.ts'
import { pageOf, pageRequest } from './pages.ts'
import { kindOf } from './snapshot-source.ts'

const SCOPE = 'models'
const POSITION: PositionPart[] = [
  { type: 'TIMESTAMP', nullable: false },
  { type: 'VARCHAR', nullable: false },
]

export const models: ModelResolvers = {
  get: (id, { models }) => models.load(id),

  async ofKind(kind, id, { models, reading }) {
    const model = await models.load(id)
    if (model?.kind !== kind.name) return null
    reading.found(id)
    return model
  },

  list({ where, ...args }, { services, cursors }) {
    const request = pageRequest(args)
    const filter = checked(where ?? {})
    const { last } = request
    const position = {
      ...(request.after !== null && { after: positionOf(cursors, request.after) }),
      ...(request.before !== null && { before: positionOf(cursors, request.before) }),
    }
    return pageOf(request, {
      async read(limit) {
        const found = await services.models.list(filter, { limit, last, ...position })
        return found.map(model => ({
          node: model,
          cursor: () => cursors.encode(SCOPE, [model.createdAt, model.id]),
        }))
      },
      count: () => services.models.count(filter),
    })
  },

  kind: kindOf,

  async reads(model, { services }) {
    const reads = await services.models.reads(model.id)
    return reads.filter(({ kind }) => services.kinds.has(kind))
  },

  async manager(model, { managers }) {
    const manager = await managers.load(model.id)
    if (!manager) throw noModel(model.id)
    return manager
  },

  create: (input, { services }) => services.models.create(input),
  update: (id, input, { services }) => services.models.update(id, input),

  async delete(id, { services }) {
    await services.models.delete(id)
    return id
  },
}

function positionOf(cursors: Cursors, cursor: string): ModelPosition {
  const [createdAt, id] = cursors.decode(SCOPE, POSITION, cursor)
  return { createdAt: String(createdAt), id: String(id) }
}

/** @throws TeatreeError BAD_VALUE */
export function checked(filter: ModelFilter): ModelFilter {
  // PostgreSQL refuses such a pattern too, but not in words for clients
  if (/(?<!\\)(?:\\\\)*\\$/.test(filter.nameLike ?? ''))
    throw new TeatreeError('BAD_VALUE', 'nameLike: the pattern ends with a backslash that escapes nothing.')
  return filter
}
