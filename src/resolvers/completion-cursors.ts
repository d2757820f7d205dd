import { Signatures } from '../platform/signatures.ts'
import { Cursors } from './cursors.ts'

/**
 * Without a key: who pulls a version takes the position out on another machine, and serves it offline. It tells nothing,
 * and one that was made up leads to a place in the log like any other.
 */
const cursors = new Cursors(new Signatures(null))

const scopeOf = (model: string) => `completions ${model}`

/** A position in a model's log, as clients hold it. */
export const completionCursor = (model: string, position: bigint): string =>
  cursors.encode(scopeOf(model), [String(position)])

/** @throws TeatreeError BAD_CURSOR */
export function completionPosition(model: string, cursor: string): bigint {
  const [position] = cursors.decode(scopeOf(model), [{ type: 'BIGINT', nullable: false }], cursor)
  return BigInt(String(position))
}
