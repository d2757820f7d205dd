import { type FileHandle, open } from 'node:fs/promises'
import { literal } from '../sql.ts'

const CHUNK_BYTES = 1024 * 1024
const QUOTE = 0x22
const ZERO = 0x30
/** Of the number of a record or line: more than any file has. */
const MAX_DIGITS = 16
/** Up to here, to copy a field byte by byte takes less time than a call of `copy`. */
const SHORT_BYTES = 128
const NEWLINE = 0x0a
/** DuckDB's own bound on a line, which makes its buffers; only a file with a longer one gets larger buffers. */
export const USUAL_LINE_BYTES = 2_000_000

/**
 * The records of a text file in the one dialect that DuckDB is trusted with, but for plain CSV (csv-reader.ts), since its reader is
 * lenient in ways that lose data: no header, LF, a number and a line before each record, an empty field for null and "" for the empty string.
 *
 *   CSV, NDJSON ──(csv-source, ndjson-source: every rule of the format)──▶ 1,2,"SO-1",2013-01-31,,""⏎ ──▶ DuckDB
 */
export class RecordFile {
  readonly path: string
  readonly #file: FileHandle
  readonly #delimiter: number
  #chunk = Buffer.allocUnsafe(CHUNK_BYTES)
  #length = 0
  #full: Buffer[] = []
  #recordBytes = 0
  #longest = 0
  #records = 0

  private constructor(path: string, file: FileHandle, delimiter: number) {
    this.path = path
    this.#file = file
    this.#delimiter = delimiter
  }

  static async create(path: string, delimiter = ','): Promise<RecordFile> {
    return new RecordFile(path, await open(path, 'wx'), delimiter.charCodeAt(0))
  }

  get records(): number {
    return this.#records
  }

  /** Begins the next record, which stands in this line of the file it is from. */
  begin(line: number): void {
    this.#recordBytes = 0
    this.#room(2 * MAX_DIGITS + 1)
    this.#number(++this.#records)
    this.#chunk[this.#length++] = this.#delimiter
    this.#number(line)
  }

  /** The delimiter before the next field; a field without anything after it is null. */
  next(): void {
    this.#room(1)
    this.#chunk[this.#length++] = this.#delimiter
  }

  /** Bytes as they are: a number, or fields that are in the dialect already. */
  raw(buffer: Buffer, from: number, to: number): void {
    this.#room(to - from)
    const [chunk, length] = [this.#chunk, this.#length]
    if (to - from > SHORT_BYTES) buffer.copy(chunk, length, from, to)
    else for (let at = from, into = length; at < to; at++, into++) chunk[into] = buffer[at] as number
    this.#length = length + to - from
  }

  /** Bytes without a quote, as text. */
  quoted(buffer: Buffer, from: number, to: number): void {
    this.#room(to - from + 2)
    this.#chunk[this.#length++] = QUOTE
    this.raw(buffer, from, to)
    this.#room(1)
    this.#chunk[this.#length++] = QUOTE
  }

  /** Any text. */
  text(text: string): void {
    const bytes = Buffer.from(text.replaceAll('"', '""'))
    this.quoted(bytes, 0, bytes.length)
  }

  end(): void {
    this.#room(1)
    this.#chunk[this.#length++] = NEWLINE
    if (this.#recordBytes > this.#longest) this.#longest = this.#recordBytes
  }

  /** To the disk with what is complete; to be awaited every now and then, so that memory stays bounded. */
  async drain(): Promise<void> {
    const full = this.#full
    this.#full = []
    for (const chunk of full) await this.#file.appendFile(chunk)
  }

  /** Writes the rest. */
  async finish(): Promise<void> {
    this.#full.push(this.#chunk.subarray(0, this.#length))
    this.#chunk = Buffer.alloc(0)
    this.#length = 0
    await this.drain()
  }

  async close(): Promise<void> {
    await this.#file.close()
  }

  /** SQL for FROM: c0, c1 … as text, _row and _line. */
  relation(fields: number): string {
    return csvScan({
      path: this.path,
      delimiter: String.fromCharCode(this.#delimiter),
      columns: ["_row: 'BIGINT'", "_line: 'BIGINT'", ...textColumns(fields)],
      hasHeader: false,
      longest: this.#longest,
    })
  }

  /** Digit by digit, and there is room for them: as a text it would be a call into native code. */
  #number(value: number): void {
    const [chunk, from] = [this.#chunk, this.#length]
    let to = from + 1
    for (let power = 10; power <= value; power *= 10) to++
    for (let at = to - 1, left = value; at >= from; at--) {
      const rest = Math.floor(left / 10)
      chunk[at] = ZERO + left - rest * 10
      left = rest
    }
    this.#length = to
  }

  #room(bytes: number): void {
    this.#recordBytes += bytes
    if (this.#length + bytes <= this.#chunk.length) return
    this.#full.push(this.#chunk.subarray(0, this.#length))
    this.#chunk = Buffer.allocUnsafe(Math.max(CHUNK_BYTES, bytes))
    this.#length = 0
  }
}

/** SQL for FROM: the columns of a file in the dialect that is said above. */
export function csvScan(file: {
  path: string
  delimiter: string
  columns: readonly string[]
  hasHeader: boolean
  /** Of its lines; in bytes. */
  longest: number
}): string {
  const options = [
    `auto_detect = false, header = ${file.hasHeader}, strict_mode = true, null_padding = false, ignore_errors = false`,
    `delim = ${literal(file.delimiter)}, quote = '"', escape = '"', new_line = '\\n', comment = ''`,
    "nullstr = '', allow_quoted_nulls = false",
    `columns = {${file.columns.join(', ')}}`,
  ]
  if (file.longest >= USUAL_LINE_BYTES) options.push(`max_line_size = ${file.longest + 1024}`)
  return `read_csv(${literal(literalPath(file.path))}, ${options.join(', ')})`
}

/** c0, c1 … */
export const textColumns = (fields: number): string[] =>
  Array.from({ length: fields }, (_, index) => `c${index}: 'VARCHAR'`)

/** A path in which DuckDB sees no pattern. */
export const literalPath = (path: string): string => path.replace(/[*?[]/g, '[$&]')
