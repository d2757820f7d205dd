import { TeatreeError } from '../platform/errors.ts'
import { BadValue } from './values.ts'

/** Refuses what a client sent. `path` leads to it from the request's own names: `where.or[1].amount.gt`. */
export function refuse(path: string, message: string): never {
  throw new TeatreeError('BAD_VALUE', `${path}: ${message}`, { details: { path } })
}

/** What `read` gives; where it finds a bad value, BAD_VALUE at `path`. */
export function readAt<T>(path: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof BadValue) refuse(path, error.message)
    throw error
  }
}
