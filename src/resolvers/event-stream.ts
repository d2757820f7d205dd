import type { OperationContext } from './context.ts'

/**
 * The events of a subscription. A client that goes away is noticed at once: `follow` is given a signal that aborts then,
 * also while it waits.
 */
export function eventStream<T>(
  context: OperationContext,
  follow: (signal: AbortSignal) => AsyncGenerator<T, void>,
): AsyncIterableIterator<T> {
  const stop = new AbortController()
  const events = follow(AbortSignal.any([context.signal, stop.signal]))
  return {
    next: () => events.next(),
    // A generator that waits would only hear of it when its wait is over.
    return: () => {
      stop.abort()
      return events.return()
    },
    [Symbol.asyncIterator]() {
      return this
    },
  }
}
