import { TeatreeError } from '../platform/errors.ts'

/** What may be said of a fault of the machine: by its system code, never with a path. */
const KNOWN: Readonly<Record<string, string>> = {
  ENOSPC: 'The disk is full.',
  EDQUOT: 'The disk quota is used up.',
  EIO: 'The disk failed.',
  EMFILE: 'Too many files are open.',
  ENOMEM: 'There is not enough memory.',
}

/** UNAVAILABLE, saying which fault of the machine it is; null where it is another fault. */
export function machineFault(error: unknown): TeatreeError | null {
  const code = (error as { code?: unknown } | null)?.code
  const said = typeof code === 'string' ? KNOWN[code] : undefined
  return said === undefined ? null : new TeatreeError('UNAVAILABLE', said, { cause: error })
}
