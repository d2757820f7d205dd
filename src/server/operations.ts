import {
  createSourceEventStream,
  type ExecutionArgs,
  type ExecutionResult,
  execute,
  getOperationAST,
  mapSourceToResponseEvent,
  validateSubscriptionArgs,
} from 'graphql'
import type { Services } from '../jobs/services.ts'
import { metrics, SpanKind, type SpanSettings, span } from '../platform/telemetry/index.ts'
import { createContext, type OperationContext, type Reading, type User } from '../resolvers/index.ts'
import type { Deliveries } from './deliveries.ts'
import { isLasting, isOfVersions } from './lasting.ts'

/** What HTTP and WebSocket say of an operation, each in its own way. */
export interface Transport {
  /** Aborts when nobody waits for the answer any more. */
  signal: AbortSignal
  /** Called before the answer, where it is of versions alone; `lasts` tells whether it never changes. */
  onOfVersions?(reading: Reading, lasts: () => boolean): void
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
 * event.
 */
export async function follow(
  { services, deliveries }: { services: Services; deliveries: Deliveries },
  args: Arguments,
): Promise<AsyncIterableIterator<ExecutionResult> | ExecutionResult> {
  const transport = transportOf(args)
  const over = new AbortController()
  const context = createContext(services, { ...transport, signal: AbortSignal.any([transport.signal, over.signal]) })
  metrics.subscriptions.add(1)
  const end = once(() => {
    metrics.subscriptions.add(-1)
    over.abort()
    context.release()
  })
  context.signal.addEventListener('abort', end, { once: true })
  try {
    const validated = validateSubscriptionArgs({ ...args, contextValue: context })
    if (!('schema' in validated)) return ended(end, { errors: validated })
    const source = await span(...traced(args, transport), () => createSourceEventStream(validated))
    if (!(Symbol.asyncIterator in source)) return ended(end, source)
    return endable(mapSourceToResponseEvent(validated, source, deliveries.of(args, validated, context)), end, context)
  } catch (error) {
    end()
    throw error
  }
}

/** Does it the first time that it is called, also where that calls it again. */
function once(fn: () => void): () => void {
  let isDone = false
  return () => {
    if (isDone) return
    isDone = true
    fn()
  }
}

function ended(end: () => void, result: ExecutionResult): ExecutionResult {
  end()
  return result
}

/** The events, with `end` called once there are no more. A generator would only hear of its return between two events. */
function endable(
  events: AsyncGenerator<ExecutionResult, void, void>,
  end: () => void,
  { signal }: OperationContext,
): AsyncIterableIterator<ExecutionResult> {
  const close = async (): Promise<IteratorReturnResult<undefined>> => {
    end()
    await events.return()
    return { done: true, value: undefined }
  }
  return {
    async next() {
      const next = await events.next()
      // What was executed after the client had gone may be an error of that, which nobody should see.
      return next.done || signal.aborted ? close() : next
    },
    return: close,
    [Symbol.asyncIterator]() {
      return this
    },
  }
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
