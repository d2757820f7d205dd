import { hash } from 'node:crypto'
import type { LogicalType, Value } from '../kinds/types.ts'
import { coerce } from '../kinds/values.ts'
import { TeatreeError } from '../platform/errors.ts'
import { SIGNATURE_BYTES, type Signatures } from '../platform/signatures.ts'

/** One value of a position. */
export interface PositionPart {
  type: LogicalType
  nullable: boolean
}

const CHECKSUM_BYTES = 9
const PURPOSE = 'cursor'

/**
 * Positions in orders as opaque text: a checksum, a signature, and the position. `scope` names field, table and order: a
 * cursor is good for the same alone, which the checksum tells to everybody. It is signed, so that only what a server of
 * this platform gave is a cursor there. Who has no key takes every signature, and signs with zeros: pulled files are paged
 * on offline with the cursors of online, and not the other way round. What is read is checked like any argument.
 */
export class Cursors {
  readonly #signatures: Signatures

  constructor(signatures: Signatures) {
    this.#signatures = signatures
  }

  encode(scope: string, position: readonly Value[]): string {
    const payload = Buffer.from(JSON.stringify(position))
    const signature = this.#signatures.sign(PURPOSE, scope, payload)
    return Buffer.concat([checksum(scope, payload), signature, payload]).toString('base64url')
  }

  /**
   * The position that a cursor of this scope names, with a value for each of `parts`, or of any shape where they are not
   * known before (null).
   * @throws TeatreeError BAD_CURSOR
   */
  decode(scope: string, parts: readonly PositionPart[] | null, cursor: string): Value[] {
    const bytes = Buffer.from(cursor, 'base64url')
    const begin = CHECKSUM_BYTES + SIGNATURE_BYTES
    // What cannot be read is passed over there: other texts would be the same cursor.
    if (bytes.length < begin || bytes.toString('base64url') !== cursor) throw badCursor()
    const [sum, signature] = [bytes.subarray(0, CHECKSUM_BYTES), bytes.subarray(CHECKSUM_BYTES, begin)]
    const payload = bytes.subarray(begin)
    if (!checksum(scope, payload).equals(sum)) throw badCursor()
    if (!this.#signatures.holds(signature, PURPOSE, scope, payload)) throw badCursor()
    const position = parsed(payload)
    if (parts && (position.length !== parts.length || !parts.every((part, index) => fits(part, position[index])))) {
      throw badCursor()
    }
    return position
  }
}

const checksum = (scope: string, payload: Uint8Array): Buffer =>
  hash('sha256', Buffer.concat([Buffer.from(`${scope}\n`), payload]), 'buffer').subarray(0, CHECKSUM_BYTES)

export const badCursor = (): TeatreeError =>
  new TeatreeError('BAD_CURSOR', 'The cursor is not one of this field and order; give one as the field gave it.')

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
