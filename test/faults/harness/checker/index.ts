import type { History, Violation } from '../history.ts'
import { checkLedger } from './ledger.ts'
import { checkReaders } from './readers.ts'
import { replayAll } from './replay.ts'
import { checkStates } from './states.ts'
import { checkSubscribers } from './subscribers.ts'
import { checkVersions } from './versions.ts'

/** Holds a recorded history against the promises: those that it does not keep. Knows nothing of the platform's code. */
export function check(history: History): Violation[] {
  const replayed = replayAll(history)
  return [
    ...checkLedger(history, replayed),
    ...checkVersions(history),
    ...checkStates(history, replayed),
    ...checkReaders(history),
    ...checkSubscribers(history),
    ...history.faults.flatMap(note => note.broken.map(broken => ({ ...broken, shown: [note] }))),
    ...history.end.stuck.map(what => ({ invariant: 13, what, shown: [] })),
    ...history.end.left.map(what => ({ invariant: 12, what, shown: [] })),
  ]
}
