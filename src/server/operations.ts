import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  getOperationAST,
  validateSubscriptionArgs,
} from 'graphql'
import type { Services } from '../jobs/services.ts'
import { metrics, SpanKind, type SpanSettings, span } from '../platform/telemetry/index.ts'
import { createContext, type Reading, type User } from '../resolvers/index.ts'
import type { Deliveries } from './deliveries.ts'
import { isLasting, isOfVersions } from './lasting.ts'
import { OVER, Subscription } from './subscription.ts'

/** What HTTP and WebSocket say of an operation, each in its own way. */
export interface Transport {
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal
  /** Called before the answer, where it is of versions alone; `lasts` tells whether it never changes. */
  onOfVersions?(reading: Reading, lasts: () => boolean): void
  /** Sends a result of a subscription; answers where that takes time. Left out: they are pulled. */
  send?(result: ExecutionResult): Promise<void> | undefined
  /** Who asks. */
  user?: User | null
  /** The last event that one has seen who comes back. */
  lastEventId?: string
  /** The traceparent that the operation goes on with; null: a trace of its own; left out: the span under way. */
  parent?: string | null
}

type Arguments = ExecutionArgs & { contextValue?: Transport }

/** Runs a query or mutation in a context of its own, which is released when it has ended, however it ends. */
export async function run(services: Services, args: Arguments): Promise<ExecutionResult> {
  const transport = transportOf(args)
  const context = createContext(services, transport)
  try {
    const result = await span(...traced(args, transport), () => execute({ ...args, contextValue: context }))
    if (transport.onOfVersions && foundAll(result) && isOfVersions(args))
      transport.onOfVersions(context.reading, () => isLasting(args))
    return result
  } finally {
    context.release()
  }
}

/** Whether nothing that was asked for was missing: what is not there may yet come to be. */
const foundAll = ({ data, errors }: ExecutionResult): boolean =>
  !errors && data != null && Object.values(data).every(value => value != null)

/**
 * Starts a subscription. It ends with the transport's signal or where the answer is returned, also while it waits for an
 * event. Where the transport sends, the answer has no results.
 */
export async function follow(
  { services, deliveries }: { services: Services; deliveries: Deliveries },
  args: Arguments,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const transport = transportOf(args)
  const { user = null, send } = transport
  const over = new AbortController()
  const end = () => over.abort(OVER)
  const context = createContext(services, { ...transport, signal: over.signal })
  metrics.subscriptions.add(1)
  over.signal.addEventListener(
    'abort',
    () => {
      metrics.subscriptions.add(-1)
      transport.signal.removeEventListener('abort', end)
      context.release()
    },
    { once: true },
  )
  transport.signal.addEventListener('abort', end)
  if (transport.signal.aborted) end()
  try {
    const validated = validateSubscriptionArgs({ ...args, contextValue: context })
    if (!('schema' in validated)) return ended(end, { errors: validated })
    const events = await span(...traced(args, transport), () => createSourceEventStream(validated))
    if (!(Symbol.asyncIterator in events)) return ended(end, events)
    const source = events[Symbol.asyncIterator]()
    const subscription = new Subscription({ source, execute: deliveries.of(args, validated, user), over })
    return send ? subscription.sent(send) : subscription.results()
  } catch (error) {
    end()
    throw error
  }
}

function ended(end: () => void, result: ExecutionResult): ExecutionResult {
  end()
  return result
}

function transportOf({ contextValue }: Arguments): Transport {
  if (!contextValue) throw new Error('an operation comes by a transport')
  return contextValue
}

function traced({ document, operationName }: Arguments, { parent }: Transport): [string, SpanSettings] {
  const operation = getOperationAST(document, operationName)
  const type = operation?.operation ?? 'operation'
  const name = operation?.name?.value
  return [
    name === undefined ? type : `${type} ${name}`,
    {
      ...(parent !== undefined && { parent, kind: SpanKind.SERVER }),
      attributes: { 'graphql.operation.type': type, ...(name !== undefined && { 'graphql.operation.name': name }) },
    },
  ]
}
