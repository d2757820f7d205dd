import type { WorkOutcome } from '../engine/engine.ts'
import type { Kind } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'
import { metrics } from '../platform/telemetry/index.ts'
import type { Ending, Published } from './publish.ts'
import { type Intent, intentError } from './records.ts'

/** An intent that took its manager down this often is set aside. */
export const MAX_DEATHS = 3

/** What the engine's outcome means for the intent; an error that may not be shown is only said to be ours. */
export function endingOf(intent: Intent, outcome: WorkOutcome): Ending {
  if (outcome.ok) return { intent: intent.id, status: 'PUBLISHED', result: outcome.result }
  const { error } = outcome
  const shown =
    error instanceof TeatreeError
      ? error
      : new TeatreeError('INTERNAL', `The intent failed by a fault of the server (${intent.id}).`)
  return { intent: intent.id, status: 'FAILED', error: intentError(shown) }
}

export const parked = (intent: Intent): Ending => ({
  intent: intent.id,
  status: 'PARKED',
  error: intentError(
    new TeatreeError(
      'INTERNAL',
      `The intent took its manager down ${MAX_DEATHS} times and was set aside; retryIntent tries it again.`,
    ),
  ),
})

/** Tells the metrics what became of a batch, and after how many seconds; endings are in its order. */
export function measure(
  kind: Kind,
  batch: readonly Intent[],
  endings: readonly Ending[],
  seconds: Published['seconds'],
): void {
  for (const [index, { intent, status }] of endings.entries()) {
    const what = { kind: kind.name, function: batch[index]?.function ?? '' }
    metrics.submittedToVisible.record(seconds.get(intent) ?? 0, what)
    metrics.intentsEnded.add(1, { ...what, status })
  }
}
