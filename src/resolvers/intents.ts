import type { GraphQLResolveInfo } from 'graphql'
import type { IntentResolvers } from '../../schema/resolvers.ts'
import type { Outcome, Page, PageArguments } from '../../schema/shapes.ts'
import { intentFunctions } from '../jobs/functions.ts'
import { type IntentFilter, type IntentPosition, isUuid } from '../jobs/ledger.ts'
import type { Intent } from '../jobs/records.ts'
import { type Kind, names } from '../kinds/kind.ts'
import { traceIdOf } from '../platform/telemetry/index.ts'
import type { OperationContext } from './context.ts'
import { badCursor, type Cursors, type PositionPart } from './cursors.ts'
import { pageOf, pageRequest } from './pages.ts'
import { selectedNodes } from './selection.ts'
import { acquire, kindOf } from './snapshot-source.ts'
import { milliseconds } from './waits.ts'

const SCOPE = 'intents'
const POSITION: PositionPart[] = [
  { type: 'TIMESTAMP', nullable: false },
  { type: 'VARCHAR', nullable: false },
]

export const intents: IntentResolvers = {
  async get({ id, waitMs }, context) {
    const wait = milliseconds('waitMs', waitMs, 0)
    const intent = await context.services.ledger.intent(id)
    return intent && untilEnded(intent, wait, context)
  },

  list: (where, args, context, info) => page(where, args, context, info),
  ofModel: (model, { status, ...args }, context, info) => page({ model: model.id, status }, args, context, info),

  model: (intent, { models }) => models.load(intent.model),

  async snapshot(intent, context) {
    if (intent.version === null) return null
    const model = await context.models.load(intent.model)
    return model && acquire(model, { intent: intent.id }, 0, context)
  },

  async outcome(intent, context) {
    const model = intent.result && (await context.models.load(intent.model))
    return model ? outcomeOf(kindOf(model, context), intent) : null
  },

  read: (intent, { services }) => services.ledger.reads(intent.id),
  traceId: intent => traceIdOf(intent.traceparent),

  async submit(name, args, { model, idempotencyKey = null, waitMs }, context) {
    const wait = milliseconds('waitMs', waitMs, 0)
    const { services, user } = context
    const request = { model, function: name, arguments: args, idempotencyKey, submittedBy: user?.id ?? null }
    const accepted = await services.submitter.submit(request)
    // Whatever keeps its end from being seen: told of an error, who has no idempotency key would ask for it twice.
    return untilEnded(accepted, wait, context).catch(err => {
      services.log.warn(
        { intent: accepted.id, model, err },
        'an intent was accepted, and its end could not be waited for',
      )
      return accepted
    })
  },

  cancel: (id, { services }) => services.ledger.cancel(id),
  retry: ({ id, idempotencyKey }, { services }) => services.ledger.retry(id, idempotencyKey ?? null),
}

/** The intent as it is once it has ended, or the time is over. */
async function untilEnded(intent: Intent, waitMs: number, { services, signal }: OperationContext): Promise<Intent> {
  let newest = intent
  const look = async () => {
    if (newest.endedAt === null) newest = (await services.ledger.intent(intent.id)) ?? newest
    return newest.endedAt !== null
  }
  if (waitMs > 0 && newest.endedAt === null) await services.completions.until(intent.model, look, waitMs, signal)
  return newest
}

function page(
  where: IntentFilter,
  args: PageArguments,
  { services, cursors, budget }: OperationContext,
  info: GraphQLResolveInfo,
): Page<Intent> {
  // What an intent brought may be megabytes, and is seldom asked for.
  const times = selectedNodes(info).get('arguments')?.length ?? 0
  const request = pageRequest(args)
  const position = request.after === null ? {} : { after: positionOf(cursors, request.after) }
  return pageOf(request, {
    async read(limit) {
      const found = budget.charge(await services.ledger.intents(where, { limit, ...position }), times)
      return found.map(intent => ({
        node: intent,
        cursor: () => cursors.encode(SCOPE, [intent.submittedAt, intent.id]),
      }))
    },
    count: () => services.ledger.countIntents(where),
  })
}

function positionOf(cursors: Cursors, cursor: string): IntentPosition {
  const [submittedAt, id] = cursors.decode(SCOPE, POSITION, cursor).map(String)
  if (submittedAt === undefined || id === undefined || !isUuid(id)) throw badCursor()
  return { submittedAt, id }
}

/** What the intent's function returned, as the type that the function declares. */
function outcomeOf(kind: Kind, { function: name, result }: Intent): Outcome | null {
  const fn = intentFunctions(kind).get(name)
  const values = (result ?? {}) as Outcome['values']
  if (fn?.is === 'function') return { type: names.type(kind, fn.function.result.name), values }
  return typeof values.table === 'string' ? { type: 'RowsWritten', values } : null
}
