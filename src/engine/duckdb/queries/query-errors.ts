import { TeatreeError } from '../../../platform/errors.ts'

/**
 * DuckDB's errors carry no code, only a text that begins with their class. What follows that may be the statement's own
 * words (`error('No space left on device')`): it tells nothing of an error of another class.
 */
const CLASSES: readonly { pattern: RegExp; error: (said: string) => TeatreeError }[] = [
  {
    pattern: /^IO Error: .*(?:No space left on device|Disk quota exceeded)/s,
    error: () => new TeatreeError('UNAVAILABLE', 'The server has no room for the result; try again later.'),
  },
  {
    pattern: /^Out of Memory Error|^(?:Invalid Error: )?(?:std::bad_alloc|failed to allocate)/i,
    error: () => tooExpensive(),
  },
  {
    pattern: /^Permission Error|^Invalid Input Error: Cannot change configuration option/,
    error: () => new TeatreeError('ACCESS_DENIED', 'The statement reaches for something outside the snapshot.'),
  },
  {
    pattern:
      /^(?:Failed to extract statements: )?(?:Parser|Syntax|Binder|Catalog|Conversion|Out of Range|Invalid Input|Invalid|Mismatch Type|Divide by Zero|Not implemented|Parameter Not Resolved|Parameter Not Allowed|Constraint|Sequence) Error: /,
    error: said => new TeatreeError('BAD_VALUE', `statement: ${said}`),
  },
]

/** What a client is told of an error of his statement: by its first line, which holds neither SQL nor paths. Null: a fault of ours. */
export function statementError(error: unknown): TeatreeError | null {
  if (error instanceof TeatreeError) return error
  // A tree that nests too deep for who looks through it.
  if (error instanceof RangeError) return new TeatreeError('BAD_VALUE', 'statement: it nests too deep.')
  const message = error instanceof Error ? error.message : String(error)
  const found = CLASSES.find(({ pattern }) => pattern.test(message))
  if (!found) return null
  const [line = ''] = message.split('\n')
  return found.error(line.replace(/^(?:Failed to extract statements: )?[\w ]+ Error: /, ''))
}

export const tooExpensive = (cause?: unknown): TeatreeError =>
  new TeatreeError('QUERY_TOO_EXPENSIVE', 'The query needs more memory than it may have; select less.', { cause })

export const resultTooLarge = (bytes: number): TeatreeError =>
  new TeatreeError('RESULT_TOO_LARGE', `The result is larger than ${Math.ceil(bytes / 2 ** 20)} MiB; select less.`)
