import { setTimeout as wait } from 'node:timers/promises'
import { isUnavailable } from '../platform/errors.ts'

const RETRY_MS = 500

/**
 * What `look` finds, once the control database is there to be asked: who is subscribed goes on after an outage from where
 * it was. Fails with what `look` fails with otherwise, or when the signal aborts.
 */
export async function throughOutages<T>(look: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await look()
    } catch (error) {
      if (!isUnavailable(error) || signal.aborted) throw error
      await wait(RETRY_MS, undefined, { signal })
    }
  }
}
