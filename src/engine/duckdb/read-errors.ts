import { TeatreeError } from '../../platform/errors.ts'
import { SnapshotDamaged } from '../snapshot-damaged.ts'

/** What is made of an error that DuckDB gave while reading; whatever is not here is ours and stays as it is. */
const TOLD: readonly { pattern: RegExp; error: (cause: unknown) => Error }[] = [
  {
    // DuckDB holds every block that it reads, and every entry of a WAL, against its checksum.
    pattern:
      /^IO Error: .*(Corrupt database file|Corrupt WAL file|Could not read enough bytes|is not a valid DuckDB database)/s,
    error: cause => new SnapshotDamaged("the version's files are damaged", { cause }),
  },
  {
    pattern: /^Out of Range Error: Overflow/,
    error: cause => new TeatreeError('BAD_VALUE', 'a sum is out of range: it has more than 38 digits', { cause }),
  },
  {
    pattern: /^Out of Memory Error/,
    error: cause =>
      new TeatreeError('QUERY_TOO_EXPENSIVE', 'the query needs more memory than it may have; select less', { cause }),
  },
  {
    // Of a table that is written to a file for who downloads it.
    pattern: /No space left on device|Disk quota exceeded/,
    error: cause => new TeatreeError('UNAVAILABLE', 'The disk is full.', { cause }),
  },
]

/** DuckDB's errors carry no code, only a text that begins with their class. */
export function readError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TeatreeError) return error
  return TOLD.find(({ pattern }) => pattern.test(error.message))?.error(error) ?? error
}
