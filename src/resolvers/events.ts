import type { EventResolvers } from '../../schema/resolvers.ts'
import type { CompletionEvent, IntentEvent } from '../../schema/shapes.ts'
import type { CompletionPage } from '../jobs/completion-pages.ts'
import { noModel } from '../jobs/ledger.ts'
import { completionCursor, completionPosition } from './completion-cursors.ts'
import type { OperationContext } from './context.ts'
import { badCursor } from './cursors.ts'
import { mapped } from './mapped.ts'
import { checked } from './models.ts'
import { pageSize } from './pages.ts'
import { acquire } from './snapshot-source.ts'
import { milliseconds } from './waits.ts'

const DEFAULT_PAGE = 50
const DEFAULT_INTERVAL_MS = 250

/** What subscriptions are told of. */
export const events: EventResolvers = {
  async completions({ model, after: cursor, pageSize: size }, context) {
    const after = context.lastEventId ?? cursor
    const { completions } = context.services
    const limit = pageSize('pageSize', size ?? DEFAULT_PAGE)
    const newest = await completions.newest(model)
    if (newest === null) throw noModel(model)
    const start = after == null ? newest : completionPosition(model, after)
    if (start > newest) throw badCursor()
    return mapped(completions.follow(model, start, limit, context.signal), completionEvent)
  },

  async completionSnapshot({ model: id, version }, context) {
    const model = await context.models.load(id)
    return model && acquire(model, { atLeast: version }, 0, context)
  },

  intent: (id, context) => followIntent(id, context),

  async modelChanges({ ids, where, minIntervalMs }, context) {
    const filter = { ...checked(where ?? {}), ids: ids ?? null }
    const intervalMs = milliseconds('minIntervalMs', minIntervalMs, DEFAULT_INTERVAL_MS)
    const { models } = context.services
    const there = ids ? await models.list({ ids }, { limit: ids.length }) : []
    const missing = ids?.find(id => !there.some(model => model.id === id))
    if (missing !== undefined) throw noModel(missing)
    return context.services.modelChanges.follow({ filter, intervalMs }, context.signal)
  },
}

/** The event of a page: all who are told of the page are told of the same. */
const completionEvents = new WeakMap<CompletionPage, CompletionEvent>()

function completionEvent(page: CompletionPage): CompletionEvent {
  const there = completionEvents.get(page)
  if (there) return there
  const { model, completions, from, position, hasNextPage, hasPreviousPage, reset, version } = page
  const event = {
    key: JSON.stringify([model, String(from), String(position), hasNextPage, hasPreviousPage, reset, version]),
    model,
    // Made only where the event is executed.
    get edges() {
      return completions.map(({ position: at, intent, queryRun }) => ({
        node: intent ?? queryRun,
        cursor: () => completionCursor(model, at),
      }))
    },
    get cursor() {
      return completionCursor(model, position)
    },
    hasNextPage,
    hasPreviousPage,
    reset,
    version,
  }
  completionEvents.set(page, event)
  return event
}

/** The intent as it is, and at each change of what clients see of its life; null where there is none. */
async function* followIntent(id: string, { services, signal }: OperationContext): AsyncGenerator<IntentEvent> {
  const first = await services.ledger.intent(id)
  if (!first) yield { intent: null, key: id }
  else
    for await (const { intent, key } of services.completions.intents.follow(first, signal))
      yield { intent, key, traceparent: intent.traceparent }
}
