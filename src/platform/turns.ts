import { setImmediate } from 'node:timers/promises'

/** Work that is done in a go: so many items, and no longer than that. */
const PIECE_ITEMS = 100
const PIECE_MS = 4

let last: Promise<unknown> = Promise.resolve()

/**
 * Goes on when everybody else had a turn. Of those who wait here each gets a turn of the event loop by itself: many
 * together would keep the others waiting as one that does not wait.
 */
function othersTurn(): Promise<unknown> {
  last = last.then(() => setImmediate())
  return last
}

/** The items, with others' turns in between: what is done with one when it is taken counts as work on it. */
export async function* inPieces<T>(items: readonly T[]): AsyncGenerator<T, void, void> {
  // To have read so many took its time, too.
  if (items.length > PIECE_ITEMS) await othersTurn()
  let began = performance.now()
  let done = 0
  for (const item of items) {
    if (done === PIECE_ITEMS || (done > 0 && performance.now() - began >= PIECE_MS)) {
      await othersTurn()
      began = performance.now()
      done = 0
    }
    yield item
    done += 1
  }
}
