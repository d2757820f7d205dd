import { errno } from '../platform/errno.ts'

/**
 * A fault of the surroundings: what the database holds now is not known. `code` is the system's (ENOSPC …) where there
 * is one, also where an engine only said it in words.
 */
export class SurroundingsError extends Error {
  override readonly name = 'SurroundingsError'
  readonly code: string | undefined

  constructor(message: string, cause?: unknown) {
    super(message, { cause })
    // Polars' errors have a code too, which is the same for all.
    this.code = WORDS.find(([pattern]) => pattern.test(String(cause)))?.[1] ?? errno(cause)
  }
}

const WORDS: readonly [RegExp, string][] = [
  [/No space left on device|max_temp_directory_size/, 'ENOSPC'],
  [/Disk quota exceeded/, 'EDQUOT'],
  [/Input\/output error/, 'EIO'],
  [/Too many open files/, 'EMFILE'],
  [/Out of Memory Error/, 'ENOMEM'],
]
