import { TeatreeError } from '../../src/platform/errors.ts'

/** The error with which `act` refuses; whatever else it throws goes through. */
export function refusal(act: () => unknown): TeatreeError {
  try {
    act()
  } catch (error) {
    if (error instanceof TeatreeError) return error
    throw error
  }
  throw new Error('it was not refused')
}
