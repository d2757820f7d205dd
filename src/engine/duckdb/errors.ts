import { randomUUID } from 'node:crypto'
import { errno } from '../../platform/errno.ts'
import { TeatreeError } from '../../platform/errors.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'
import { SurroundingsError } from '../surroundings-error.ts'

/**
 * Whose fault an error is that arose while an intent was applied:
 *
 *   intent        its own data or arguments, or a refusal by the function: FAILED with what it says
 *   kind          a bug in the kind's function or SQL: FAILED with INTERNAL, and the line goes on
 *   surroundings  disk, memory, a database that is broken: no intent fails for it
 */
export type Fault = 'intent' | 'kind' | 'surroundings'

/** DuckDB's errors carry no code, only a text that begins with their class. */
const CLASSES: readonly [RegExp, Fault][] = [
  // First: these come in any class, wherever DuckDB met them.
  [/No space left on device|Disk quota exceeded|Input\/output error|Too many open files/, 'surroundings'],
  [/database has been invalidated|max_temp_directory_size/, 'surroundings'],
  [/^(IO|Out of Memory|FATAL|INTERNAL|TransactionContext|Connection|Serialization|INTERRUPT) Error: /, 'surroundings'],
  [/^(Conversion|Constraint|Out of Range|Invalid Input|Mismatch Type|Divide by Zero) Error: /, 'intent'],
]

/** Of the operating system; not ENOENT, which a kind's own code may bring about. */
const SYSTEM = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EMFILE', 'ENFILE', 'ENOMEM'])

export function faultOf(error: unknown): Fault {
  if (error instanceof TeatreeError) return 'intent'
  if (error instanceof SurroundingsError || error instanceof SnapshotDamaged || SYSTEM.has(String(errno(error))))
    return 'surroundings'
  const text = error instanceof Error ? error.message : ''
  return CLASSES.find(([pattern]) => pattern.test(text))?.[1] ?? 'kind'
}

/**
 * The error with which the intent is refused. What DuckDB says of a value is told by its first line, which holds neither
 * SQL nor paths; what is the kind's fault is INTERNAL, and `onInternal` is told under which id.
 */
export function refusalOf(error: unknown, onInternal: (id: string, error: unknown) => void): TeatreeError {
  if (error instanceof TeatreeError) return error
  if (faultOf(error) === 'intent') {
    const [, said = 'a value is out of range'] = /^[\w ]+ Error: (.*)/.exec(String((error as Error).message)) ?? []
    return new TeatreeError('BAD_VALUE', said, { cause: error })
  }
  const id = randomUUID()
  onInternal(id, error)
  return new TeatreeError('INTERNAL', `the intent failed by a fault of the server, which the log has under ${id}`, {
    cause: error,
    details: { id },
  })
}
