import { TeatreeError } from '../platform/errors.ts'
import type { Selection } from './selection.ts'

/** Characters, roughly: as much as a request may have. */
const MAX_ANSWER = 16 << 20
/** What a value takes besides its text: the field's name and its punctuation. */
const VALUE_SIZE = 12

/**
 * What one operation, or one event of a subscription, may still be answered. It is charged with what is read, as often as
 * it will be in the answer, before it is: there it may be again and again, by aliases and by references.
 */
export class AnswerBudget {
  #left = MAX_ANSWER

  /** Answers with what was read: rows, or one. RESULT_TOO_LARGE where that is more than is left. */
  charge<T extends object | null>(read: T, times = 1): T {
    if (read && times > 0) this.chargeSize(sizeOf(read) * times)
    return read
  }

  /** See sizeOf. */
  chargeSize(size: number): void {
    this.#left -= size
    if (this.#left >= 0) return
    const most = `An operation may be answered with ${MAX_ANSWER >> 20} MiB`
    throw new TeatreeError('RESULT_TOO_LARGE', `${most}; select fewer rows, or ask in several operations.`)
  }
}

/** How often a value may be in the answer: its field can be selected by several names. */
export const timesSelected = (selection: Selection): number =>
  Math.max(1, ...[...selection.values()].map(({ length }) => length))

/** Results of immutable versions are read again and again, and are the same objects. */
const sizes = new WeakMap<object, number>()

/** What it is in an answer, in characters. */
export function sizeOf(value: object): number {
  const known = sizes.get(value)
  if (known !== undefined) return known
  const size = measure(value)
  sizes.set(value, size)
  return size
}

function measure(value: unknown): number {
  if (typeof value === 'string') return VALUE_SIZE + value.length
  if (typeof value !== 'object' || value === null) return VALUE_SIZE
  let size = VALUE_SIZE
  for (const part of Array.isArray(value) ? value : Object.values(value)) size += measure(part)
  return size
}
