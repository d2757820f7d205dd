import { randomUUID } from 'node:crypto'
import { errno } from '../platform/errno.ts'
import { TeatreeError } from '../platform/errors.ts'
import { SnapshotDamaged } from './snapshot-damaged.ts'
import { SurroundingsError } from './surroundings-error.ts'

/**
 * Whose fault an error is that arose while an intent was applied:
 *
 *   intent        its own data or arguments, or a refusal by the function: FAILED with what it says
 *   kind          a bug in the kind's function or SQL: FAILED with INTERNAL, and the line goes on
 *   surroundings  disk, memory, a database that is broken: no intent fails for it
 */
export type Fault = 'intent' | 'kind' | 'surroundings'

/** Of the operating system; not ENOENT, which a kind's own code may bring about. */
const SYSTEM = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM'])

/** @param classes what an engine's own errors say, in the order in which they are looked for; whatever is not there is the kind's */
export function faultBy(classes: readonly (readonly [RegExp, Fault])[], error: unknown): Fault {
  if (error instanceof SuppressedError) {
    // What failed, and behind it, what was to clean up: where memory or the disk ended, that does as a rule.
    const faults = [error.suppressed, error.error].map(each => faultBy(classes, each))
    return faults.includes('surroundings') ? 'surroundings' : 'kind'
  }
  if (error instanceof TeatreeError) return 'intent'
  if (error instanceof SurroundingsError || error instanceof SnapshotDamaged || SYSTEM.has(String(errno(error))))
    return 'surroundings'
  const text = error instanceof Error ? error.message : ''
  return classes.find(([pattern]) => pattern.test(text))?.[1] ?? 'kind'
}

/** The error with which an intent is refused by a fault of the kind: `onInternal` is told under which id. */
export function internal(error: unknown, onInternal: (id: string, error: unknown) => void): TeatreeError {
  const id = randomUUID()
  onInternal(id, error)
  return new TeatreeError('INTERNAL', `the intent failed by a fault of the server, which the log has under ${id}`, {
    cause: error,
    details: { id },
  })
}
