import { performance } from 'node:perf_hooks'

/** npm passes on what the terminal has sent to the whole group already: within this time it is the same signal. */
const SAME_MS = 1000

/**
 * Settles at the first of the signals, of those that come from now on: call it before anything is started. The same
 * signal again within a second counts as the first; any other ends the process at once, as if nobody listened.
 */
export function stopSignal(signals: readonly NodeJS.Signals[]): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>()
  let first: { signal: NodeJS.Signals; at: number } | undefined
  const hear = (signal: NodeJS.Signals) => {
    if (!first) {
      first = { signal, at: performance.now() }
      return resolve(signal)
    }
    if (signal === first.signal && performance.now() - first.at < SAME_MS) return
    for (const each of signals) process.off(each, hear)
    process.kill(process.pid, signal)
  }
  for (const signal of signals) process.on(signal, hear)
  return promise
}

/** The same as a signal to abort by. */
export function abortOn(signals: readonly NodeJS.Signals[]): AbortSignal {
  const stop = new AbortController()
  stopSignal(signals).then(() => stop.abort())
  return stop.signal
}

/** Settles as it aborts. */
export const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
