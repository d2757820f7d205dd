import { hash } from 'node:crypto'
import type { LogicalType, Value } from '../kinds/types.ts'
import { coerce } from '../kinds/values.ts'
import { TeatreeError } from '../platform/errors.ts'

/** One value of a position. */
export interface PositionPart {
  type: LogicalType
  nullable: boolean
}

const CHECKSUM_BYTES = 12

/**
 * A position in an order as opaque text. `scope` names field, table and order: a cursor is good for the same alone.
 * Its checksum tells slips apart from cursors, and keeps no secret: what is read from one is checked like any argument.
 */
export function encodeCursor(scope: string, position: readonly Value[]): string {
  const payload = Buffer.from(JSON.stringify(position))
  return Buffer.concat([checksum(scope, payload), payload]).toString('base64url')
}

/**
 * The position that a cursor of this scope names, with a value for each of `parts`, or of any shape where they are not
 * known before (null).
 * @throws TeatreeError BAD_CURSOR
 */
export function decodeCursor(scope: string, parts: readonly PositionPart[] | null, cursor: string): Value[] {
  const bytes = Buffer.from(cursor, 'base64url')
  const payload = bytes.subarray(CHECKSUM_BYTES)
  if (!bytes.subarray(0, CHECKSUM_BYTES).equals(checksum(scope, payload))) throw badCursor()
  const position = parsed(payload)
  if (parts && (position.length !== parts.length || !parts.every((part, index) => fits(part, position[index])))) {
    throw badCursor()
  }
  return position
}

export const badCursor = (): TeatreeError =>
  new TeatreeError('BAD_CURSOR', 'The cursor is not one of this field and order; give one as the field gave it.')

const checksum = (scope: string, payload: Uint8Array): Buffer =>
  hash('sha256', Buffer.concat([Buffer.from(`${scope}\n`), payload]), 'buffer').subarray(0, CHECKSUM_BYTES)

function parsed(payload: Buffer): Value[] {
  try {
    const position: unknown = JSON.parse(payload.toString())
    if (Array.isArray(position) && position.every(isValue)) return position
  } catch {
    // falls through
  }
  throw badCursor()
}

const isValue = (value: unknown): value is Value =>
  value === null || ['string', 'number', 'boolean'].includes(typeof value)

/** Whether the value is one of the type in canonical form. */
function fits({ type, nullable }: PositionPart, value: Value | undefined): boolean {
  if (value === null || value === undefined) return nullable && value === null
  try {
    return coerce(type, value) === value
  } catch {
    return false
  }
}
