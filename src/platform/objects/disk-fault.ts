import { errno } from '../errno.ts'
import { TeatreeError } from '../errors.ts'

const FULL = new Set(['ENOSPC', 'EDQUOT'])

/** What a failed file operation means: the disk cannot do it now. The path stays in the cause. */
export function diskFault(error: unknown): TeatreeError {
  const code = errno(error) ?? 'unknown'
  const message = FULL.has(code)
    ? 'The disk is full: make room, then it goes on.'
    : `The disk cannot be read or written (${code}): check that it is there and that this user may write to it.`
  return new TeatreeError('UNAVAILABLE', message, { cause: error })
}
