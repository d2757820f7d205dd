import type { DuckDBDataChunk } from '@duckdb/node-api'
import { decimalOf, type LogicalType, typeName } from '../../../kinds/types.ts'
import type { ColumnBuffers } from '../../arrow/batch-builder.ts'
import { type Bytes, isSet } from '../../arrow/buffers.ts'
import { addTexts, fixedOf, validityOf } from './chunk-vectors.ts'

/** Adds a column of a chunk, which must be of the type, to a batch. */
export function addVector(
  chunk: DuckDBDataChunk,
  column: number,
  type: LogicalType,
  { validity, values }: ColumnBuffers,
): void {
  const rows = chunk.rowCount
  const valid = validityOf(chunk, column)
  validity.add(valid, rows)
  if (values.are === 'texts') addTexts(chunk, column, valid, values.texts)
  else {
    const width = widthOf(type)
    const bytes = fixedOf(chunk, column, width)
    // What is where a null is may be of anybody's memory.
    if (valid) clearNulls(bytes, width, valid, rows)
    if (values.are === 'bits') values.bits.add(packed(bytes), rows)
    else if (decimalOf(type) && width < 16) addDecimals(bytes, width, values.bytes)
    else values.bytes.extend(bytes.length).set(bytes)
  }
}

/** Bytes of a value in DuckDB. */
function widthOf(type: LogicalType): number {
  const decimal = decimalOf(type)
  // In the smallest integer that has room for the digits.
  if (decimal) return decimal.precision <= 4 ? 2 : decimal.precision <= 9 ? 4 : decimal.precision <= 18 ? 8 : 16
  const name = typeName(type)
  if (name === 'BOOLEAN') return 1
  return name === 'INTEGER' || name === 'DATE' ? 4 : 8
}

function clearNulls(bytes: Uint8Array, width: number, validity: Uint8Array, rows: number): void {
  for (let row = 0; row < rows; row++) if (!isSet(validity, row)) bytes.fill(0, row * width, (row + 1) * width)
}

/** DuckDB has a byte for each. */
function packed(bytes: Uint8Array): Uint8Array {
  const bits = new Uint8Array((bytes.length + 7) >> 3)
  for (let index = 0; index < bytes.length; index++)
    if (bytes[index] === 1) bits[index >> 3] = (bits[index >> 3] ?? 0) | (1 << (index & 7))
  return bits
}

/** Of fewer than 128 bits, as integers of 128 bits. */
function addDecimals(bytes: Uint8Array, width: number, into: Bytes): void {
  const count = bytes.length / width
  const room = into.extend(count * 16)
  const wide = new Int32Array(room.buffer, room.byteOffset, count * 4)
  const narrow =
    width === 2
      ? new Int16Array(bytes.buffer, bytes.byteOffset, count)
      : new Int32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  const words = width === 8 ? 2 : 1
  for (let index = 0; index < count; index++) {
    const high = narrow[index * words + words - 1] ?? 0
    const sign = high >> 31
    wide[index * 4] = narrow[index * words] ?? 0
    wide[index * 4 + 1] = words === 2 ? high : sign
    wide[index * 4 + 2] = sign
    wide[index * 4 + 3] = sign
  }
}
