import type { OperationContext } from './context.ts'

/**
 * The events of a subscription. What an event's fields hold is released when the next one is asked for, or none. A
 * client that goes away is noticed at once: `follow` is given a signal that aborts then, also while it waits.
 */
export function eventStream<T>(
  context: OperationContext,
  follow: (signal: AbortSignal) => AsyncIterable<T>,
): AsyncIterableIterator<T> {
  const stop = new AbortController()
  const events = heldPerEvent(context, follow(AbortSignal.any([context.signal, stop.signal])))
  return {
    next: () => events.next(),
    // A generator that waits would only hear of it when its wait is over.
    return: () => {
      stop.abort()
      return events.return(undefined)
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}

async function* heldPerEvent<T>(context: OperationContext, events: AsyncIterable<T>): AsyncGenerator<T, undefined> {
  try {
    for await (const event of events) {
      context.beginEvent()
      yield event
      // The event has been executed: nobody asks for the next one before.
      context.release()
    }
  } finally {
    context.release()
  }
  return undefined
}
