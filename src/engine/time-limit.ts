import { TeatreeError } from '../platform/errors.ts'

/** A timer of more than this goes off at once. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Aborts with the error once the time is over. */
export function timeLimit(seconds: number, error: () => TeatreeError): { signal: AbortSignal } & Disposable {
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(error()), Math.min(seconds * 1000, MAX_TIMER_MS))
  return { signal: limit.signal, [Symbol.dispose]: () => clearTimeout(timer) }
}

/** The time of one read of a query function. */
export const queryTimeLimit = (seconds: number) =>
  timeLimit(
    seconds,
    () => new TeatreeError('QUERY_TIMEOUT', `the query was not done within its time limit of ${seconds} s`),
  )
