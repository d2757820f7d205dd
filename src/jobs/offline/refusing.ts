import { TeatreeError } from '../../platform/errors.ts'

/** What needs the database, or a manager, and neither is here. */
export const offline = (what: string): TeatreeError =>
  new TeatreeError('UNAVAILABLE', `Offline there are pulled files alone: ${what} are where those are from.`)

/** Stands in for a part of the platform that is not here: whatever is called of it rejects with UNAVAILABLE. */
export const refusing = <T extends object>(what: string): T =>
  new Proxy({} as T, {
    get: () => async () => {
      throw offline(what)
    },
  })
