import { decodeCursor, encodeCursor } from './cursors.ts'

const scopeOf = (model: string) => `completions ${model}`

/** A position in a model's log, as clients hold it. */
export const completionCursor = (model: string, position: bigint): string =>
  encodeCursor(scopeOf(model), [String(position)])

/** @throws TeatreeError BAD_CURSOR */
export function completionPosition(model: string, cursor: string): bigint {
  const [position] = decodeCursor(scopeOf(model), [{ type: 'BIGINT', nullable: false }], cursor)
  return BigInt(String(position))
}
