import { TeatreeError } from '../../platform/errors.ts'
import { type Fault, faultBy, internal } from '../faults.ts'

/** DuckDB's errors carry no code, only a text that begins with their class. */
const CLASSES: readonly (readonly [RegExp, Fault])[] = [
  // First: these come in any class, wherever DuckDB met them.
  [/No space left on device|Disk quota exceeded|Input\/output error|Too many open files/, 'surroundings'],
  [/database has been invalidated|max_temp_directory_size/, 'surroundings'],
  [/^(IO|Out of Memory|FATAL|INTERNAL|TransactionContext|Connection|Serialization|INTERRUPT) Error: /, 'surroundings'],
  [/^(Conversion|Constraint|Out of Range|Invalid Input|Mismatch Type|Divide by Zero) Error: /, 'intent'],
]

export const faultOf = (error: unknown): Fault => faultBy(CLASSES, error)

/**
 * The error with which the intent is refused. What DuckDB says of a value is told by its first line, which holds neither
 * SQL nor paths; what is the kind's fault is INTERNAL, and `onInternal` is told under which id.
 */
export function refusalOf(error: unknown, onInternal: (id: string, error: unknown) => void): TeatreeError {
  if (error instanceof TeatreeError) return error
  if (faultOf(error) !== 'intent') return internal(error, onInternal)
  const [, said = 'a value is out of range'] = /^[\w ]+ Error: (.*)/.exec(String((error as Error).message)) ?? []
  return new TeatreeError('BAD_VALUE', said, { cause: error })
}
