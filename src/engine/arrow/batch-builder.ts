import type { Column } from '../../kinds/kind.ts'
import { typeName } from '../../kinds/types.ts'
import { Bits, Bytes, Texts } from './buffers.ts'
import { type BatchColumn, batchMessage } from './ipc-stream.ts'

/** What a column of a batch is written to. Values are laid out as Arrow has them; where one is null there are zeros. */
export interface ColumnBuffers {
  /** A bit for each value, 0 for null. */
  readonly validity: Bits
  readonly values: ValueBuffer
}

export type ValueBuffer =
  | { readonly are: 'fixed'; readonly bytes: Bytes }
  | { readonly are: 'bits'; readonly bits: Bits }
  | { readonly are: 'texts'; readonly texts: Texts }

/** Makes one batch after another, in the same memory. */
export class BatchBuilder {
  readonly columns: readonly ColumnBuffers[]

  constructor(columns: readonly Column[]) {
    this.columns = columns.map(({ type }) => ({ validity: new Bits(), values: bufferFor(typeName(type)) }))
  }

  /** How many bytes have been written of values that are not bits. */
  get bytes(): number {
    return this.columns.reduce((sum, { values }) => sum + lengthOf(values), 0)
  }

  /** The message of a batch of what has been written, of so many rows; the next one begins. */
  finish(rows: number): Uint8Array {
    const message = batchMessage(rows, this.columns.map(batchColumn))
    for (const { validity, values } of this.columns) {
      validity.clear()
      contentOf(values).clear()
    }
    return message
  }
}

function bufferFor(type: ReturnType<typeof typeName>): ValueBuffer {
  if (type === 'VARCHAR') return { are: 'texts', texts: new Texts() }
  return type === 'BOOLEAN' ? { are: 'bits', bits: new Bits() } : { are: 'fixed', bytes: new Bytes() }
}

function batchColumn({ validity, values }: ColumnBuffers): BatchColumn {
  const nulls = validity.zeros
  return { nulls, buffers: [nulls > 0 ? validity.written : new Uint8Array(0), ...writtenOf(values)] }
}

function writtenOf(values: ValueBuffer): Uint8Array[] {
  if (values.are === 'texts') return [values.texts.offsets, values.texts.bytes]
  return [values.are === 'bits' ? values.bits.written : values.bytes.written]
}

function contentOf(values: ValueBuffer): { clear(): void } {
  if (values.are === 'texts') return values.texts
  return values.are === 'bits' ? values.bits : values.bytes
}

function lengthOf(values: ValueBuffer): number {
  if (values.are === 'texts') return values.texts.bytes.length
  return values.are === 'fixed' ? values.bytes.length : 0
}
