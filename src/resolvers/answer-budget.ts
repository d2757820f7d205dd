import { TeatreeError } from '../platform/errors.ts'

/** Characters of JSON, roughly: as much as a request may have. */
const MAX_ANSWER = 16 << 20

/**
 * What one operation, or one event of a subscription, may still read for its answer: each of its fields may be a page of
 * its own, and all of them are in memory until it is answered.
 */
export class AnswerBudget {
  #left = MAX_ANSWER

  /** Answers with what was read. RESULT_TOO_LARGE where that is more than is left. */
  charge<T extends object | null>(read: T): T {
    if (read) this.#left -= sizeOf(read)
    if (this.#left < 0) throw tooLarge()
    return read
  }
}

/** Whether that would be a longer answer than an operation may have: what was read once may be in it many times. */
export const isTooLarge = (answer: object): boolean => sizeOf(answer) > MAX_ANSWER

export const tooLarge = (): TeatreeError =>
  new TeatreeError(
    'RESULT_TOO_LARGE',
    `An operation may be answered with ${MAX_ANSWER >> 20} MiB; select fewer rows, or ask in several operations.`,
  )

/** Results of immutable versions are read again and again, and are the same objects. */
const sizes = new WeakMap<object, number>()

function sizeOf(value: object): number {
  const known = sizes.get(value)
  if (known !== undefined) return known
  const size = measure(value, 0)
  sizes.set(value, size)
  return size
}

/** As much as `size` and the value; no further than past the bound. */
function measure(value: unknown, size: number): number {
  if (typeof value === 'string') return size + value.length + 3
  if (typeof value !== 'object' || value === null) return size + 6
  let sum = size + 2
  if (Array.isArray(value)) {
    for (const item of value) {
      sum = measure(item, sum)
      if (sum > MAX_ANSWER) break
    }
    return sum
  }
  for (const name in value) {
    sum = measure((value as Record<string, unknown>)[name], sum + name.length + 3)
    if (sum > MAX_ANSWER) break
  }
  return sum
}
