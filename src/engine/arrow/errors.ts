import { TeatreeError } from '../../platform/errors.ts'
import { type Fault, faultBy, internal } from '../faults.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'

/** Polars' errors carry one code for all, and a text of which the first line says what is wrong. */
const CLASSES: readonly (readonly [RegExp, Fault])[] = [
  [/No space left on device|Disk quota exceeded|Input\/output error|Too many open files/, 'surroundings'],
  [/No such file or directory|Cannot allocate memory/, 'surroundings'],
  // of a strict cast
  [/^conversion from .* failed/, 'intent'],
]

export const faultOf = (error: unknown): Fault =>
  error instanceof SnapshotMissing ? 'surroundings' : faultBy(CLASSES, error)

/** The error with which the intent is refused that a function failed in; what is the kind's fault is INTERNAL. */
export function refusalOf(error: unknown, onInternal: (id: string, error: unknown) => void): TeatreeError {
  if (error instanceof TeatreeError) return error
  if (faultOf(error) !== 'intent') return internal(error, onInternal)
  const [said = ''] = String((error as Error).message).split('\n')
  return new TeatreeError('BAD_VALUE', said, { cause: error })
}
