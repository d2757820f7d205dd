import {
  Bool,
  type DataType,
  DateDay,
  Decimal,
  Field,
  Float64,
  Int32,
  Int64,
  Schema,
  TimestampMicrosecond,
  Utf8,
} from 'apache-arrow'
import { BufferRegion, FieldNode, Message, RecordBatch } from 'apache-arrow/ipc/metadata/message'
import type { Column } from '../../kinds/kind.ts'
import { decimalOf, type LogicalType, type TypeName, typeName } from '../../kinds/types.ts'

/*
 * An IPC stream, as it is written:  schema │ batch │ … │ END_OF_STREAM     (ipc-messages.ts reads them)
 */

/** A column of a batch: how many nulls it has, and its buffers as Arrow lays them out, the validity first. */
export interface BatchColumn {
  nulls: number
  /** The validity may be empty where there are no nulls. */
  buffers: readonly Uint8Array[]
}

/** What says that nothing is missing; a stream without it was cut. */
export const END_OF_STREAM = Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0)

/** The message that begins a stream of batches with these columns. */
export function schemaMessage(columns: readonly Column[]): Uint8Array {
  const fields = columns.map(({ name, type, nullable }) => new Field(name, arrowType(type), nullable))
  return framed(Message.from(new Schema(fields)), [])
}

/** A batch of `rows` rows. */
export function batchMessage(rows: number, columns: readonly BatchColumn[]): Uint8Array {
  const nodes = columns.map(({ nulls }) => new FieldNode(rows, nulls))
  const buffers = columns.flatMap(column => column.buffers)
  let end = 0
  const regions = buffers.map(({ length }) => {
    const region = new BufferRegion(end, length)
    end += padded(length)
    return region
  })
  return framed(Message.from(new RecordBatch(rows, nodes, regions, null), end), buffers)
}

/** `FFFFFFFF length metadata body`, metadata and every buffer padded with zeros. */
function framed(message: Message, buffers: readonly Uint8Array[]): Uint8Array {
  const metadata = Message.encode(message)
  const length = padded(metadata.length)
  const frame = Buffer.alloc(8 + length + message.bodyLength)
  frame.writeUInt32LE(0xffffffff)
  frame.writeInt32LE(length, 4)
  frame.set(metadata, 8)
  let offset = 8 + length
  for (const buffer of buffers) {
    frame.set(buffer, offset)
    offset += padded(buffer.length)
  }
  return frame
}

const padded = (bytes: number): number => Math.ceil(bytes / 8) * 8

const arrowType = (type: LogicalType): DataType => TYPES[typeName(type)](type)

const TYPES: Record<TypeName, (type: LogicalType) => DataType> = {
  VARCHAR: () => new Utf8(),
  INTEGER: () => new Int32(),
  BIGINT: () => new Int64(),
  DOUBLE: () => new Float64(),
  BOOLEAN: () => new Bool(),
  DATE: () => new DateDay(),
  TIMESTAMP: () => new TimestampMicrosecond('UTC'),
  DECIMAL: type => {
    const { precision, scale } = decimalOf(type) ?? { precision: 38, scale: 0 }
    return new Decimal(scale, precision, 128)
  },
}
