import { type RecordBatch, tableFromIPC } from 'apache-arrow'
import type { StreamFormat } from '../../src/engine/engine.ts'
import type { Column } from '../../src/kinds/kind.ts'
import { decimalOf, type Row, typeName, type Value } from '../../src/kinds/types.ts'

/** What the bytes of a stream say, by other means than those that made them: canonical rows. */
export function decoded(format: StreamFormat, bytes: Uint8Array, columns: readonly Column[]): Row[] {
  if (format === 'arrow') return fromArrow(bytes, columns)
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no end')
  return format === 'csv' ? fromCsv(text, columns) : fromNdjson(text)
}

function fromNdjson(text: string): Row[] {
  return text
    .split('\n')
    .slice(0, -1)
    .map(line => JSON.parse(line))
}

function fromCsv(text: string, columns: readonly Column[]): Row[] {
  const [header, ...records] = csvRecords(text)
  if (String(header) !== String(columns.map(({ name }) => name))) throw new Error(`the header is ${header}`)
  return records.map(record => {
    if (record.length !== columns.length) throw new Error(`a record has ${record.length} fields`)
    return Object.fromEntries(columns.map(({ name, type }, index) => [name, fromText(record[index] ?? null, type)]))
  })
}

function fromText(text: string | null, type: Column['type']): Value {
  if (text === null) return null
  const name = typeName(type)
  if (name === 'BOOLEAN') return text === 'true' ? true : text === 'false' ? false : text
  return name === 'INTEGER' || name === 'DOUBLE' ? Number(text) : text
}

/** Fields; null where one is empty and not quoted. */
function csvRecords(text: string): (string | null)[][] {
  const records: (string | null)[][] = []
  let record: (string | null)[] = []
  const field = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))([,\n])/y
  while (field.lastIndex < text.length) {
    const match = field.exec(text)
    if (!match) throw new Error('a field is not as CSV has it')
    const [, quoted, plain, end] = match
    record.push(quoted === undefined ? plain || null : quoted.replaceAll('""', '"'))
    if (end === ',') continue
    records.push(record)
    record = []
  }
  return records
}

function fromArrow(bytes: Uint8Array, columns: readonly Column[]): Row[] {
  // Readers take a stream for whole that was cut between two batches.
  const end = Buffer.from(bytes.subarray(-8)).toString('hex')
  if (end !== 'ffffffff00000000') throw new Error('the stream has no end')
  const { batches } = tableFromIPC(bytes)
  return batches.flatMap(batch => rowsOf(batch, columns))
}

function rowsOf(batch: RecordBatch, columns: readonly Column[]): Row[] {
  const vectors = columns.map(({ name, type }) => {
    const vector = batch.getChild(name)
    if (!vector) throw new Error(`there is no column ${name}`)
    const { values } = vector.data[0] ?? {}
    return (row: number): Value =>
      vector.isValid(row) ? READERS[typeName(type)](vector.get(row), values, row, type) : null
  })
  return Array.from({ length: batch.numRows }, (_, row) =>
    Object.fromEntries(columns.map(({ name }, index) => [name, vectors[index]?.(row) ?? null])),
  )
}

// biome-ignore lint/suspicious/noExplicitAny: a cell and the memory of its column have the shape of their type
type Reader = (cell: any, values: any, row: number, type: Column['type']) => Value
const asItIs: Reader = cell => cell
const READERS: Record<ReturnType<typeof typeName>, Reader> = {
  VARCHAR: asItIs,
  INTEGER: asItIs,
  DOUBLE: asItIs,
  BOOLEAN: asItIs,
  BIGINT: String,
  DATE: cell => new Date(cell).toISOString().slice(0, 10),
  // apache-arrow makes milliseconds of it.
  TIMESTAMP: (_, values: BigInt64Array, row) => {
    const micros = values[row] ?? 0n
    const rest = ((micros % 1_000_000n) + 1_000_000n) % 1_000_000n
    const second = new Date(Number((micros - rest) / 1000n)).toISOString().slice(0, 19)
    return `${second}.${String(rest).padStart(6, '0')}Z`
  },
  DECIMAL: (_, values: Uint32Array, row, type) => {
    const words = values.subarray(row * 4, row * 4 + 4)
    const units = BigInt.asIntN(
      128,
      words.reduceRight((high, word) => (high << 32n) | BigInt(word), 0n),
    )
    const scale = decimalOf(type)?.scale ?? 0
    const digits = String(units < 0n ? -units : units).padStart(scale + 1, '0')
    const point = digits.length - scale
    return `${units < 0n ? '-' : ''}${digits.slice(0, point)}${scale > 0 ? `.${digits.slice(point)}` : ''}`
  },
}
