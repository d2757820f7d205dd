import { TeatreeError } from '../platform/errors.ts'

const MAX_MS = 60_000

/** Milliseconds that a client asks for. @throws TeatreeError BAD_VALUE outside of 0 to 60000 */
export function milliseconds(name: string, value: number | null | undefined, otherwise: number): number {
  const ms = value ?? otherwise
  if (ms >= 0 && ms <= MAX_MS) return ms
  throw new TeatreeError('BAD_VALUE', `${name}: ${ms} is outside 0 to ${MAX_MS} milliseconds.`)
}

/** Settles after so long, or as soon as one of the signals aborts. */
export function pause(ms: number, ...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise(resolve => {
    const done = () => {
      clearTimeout(timer)
      for (const signal of signals) signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    for (const signal of signals) signal.addEventListener('abort', done)
    if (signals.some(signal => signal.aborted)) done()
  })
}
