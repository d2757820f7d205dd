import type { CsvHeader } from './csv-header.ts'
import { CsvError, CsvScanner, csvFields } from './csv-record.ts'
import { badLine, checkText, FaultyLines } from './file-errors.ts'
import { type FileWindow, MAX_RECORD_BYTES } from './file-window.ts'
import { type RecordFile, USUAL_LINE_BYTES } from './record-file.ts'

const LF = 0x0a

/**
 * Reads the records of a CSV file, into a file of records where one is given. Without one it only looks whether the file is
 * **plain**, and stops where it is not: of a plain file every reader makes the same records, each of which is one line.
 *
 *   plain   header⏎ record⏎ … record[⏎]     two columns or more, no byte order mark, no empty line, LF alone, quotes where a
 *                                           field begins or nowhere
 */
export class CsvReader {
  readonly #delimiter: string
  readonly #width: number
  readonly #records: RecordFile | null
  readonly #scanner: CsvScanner
  readonly #faults = new FaultyLines()
  #line = 1
  #row = 0
  #inHeader = true
  #isPlain = true

  constructor({ delimiter, names }: CsvHeader, records: RecordFile | null) {
    this.#delimiter = delimiter
    this.#width = names.length
    this.#records = records
    this.#scanner = new CsvScanner(delimiter)
  }

  /** How many records there have been. */
  get rows(): number {
    return this.#row
  }

  /** The records that end in the window; false where there is nothing more to be found out. */
  take(window: FileWindow): boolean {
    const { buffer, from, to, final } = window
    const scanner = this.#scanner
    const line = this.#line
    let at = from
    try {
      for (; at < to && scanner.scan(buffer, at, to, final); at = scanner.next) {
        this.#record(buffer, at, final)
        this.#line += scanner.newlines + 1
        if (!this.#isPlain) return false
      }
    } catch (error) {
      if (error instanceof CsvError) throw badLine(this.#line, error.message)
      throw error
    }
    checkText(buffer.subarray(from, at), line)
    window.from = at
    this.#checkLength(to - at)
    return true
  }

  /** Whether the file, read to its end, is plain. @throws TeatreeError BAD_FILE where lines were at fault */
  end(): boolean {
    this.#faults.check()
    // Line after line has been a record, behind the header.
    return this.#isPlain && this.#line === this.#row + 2
  }

  #record(buffer: Buffer, from: number, final: boolean): void {
    const { end, fields } = this.#scanner
    this.#checkLength(end - from)
    if (this.#records === null) this.#isPlain = this.#isPlainAt(buffer, from, final)
    if (end === from && (this.#width > 1 || this.#inHeader)) return
    if (this.#inHeader) {
      this.#inHeader = false
      return
    }
    this.#row++
    if (fields !== this.#width) {
      const count = fields === 1 ? '1 field' : `${fields} fields`
      this.#faults.add(this.#line, this.#row, `it has ${count}, and the header has ${this.#width}`)
    } else if (this.#records) this.#write(this.#records, buffer, from)
  }

  #isPlainAt(buffer: Buffer, from: number, final: boolean): boolean {
    const { end, next, newlines, strayQuotes } = this.#scanner
    // Readers differ in what an empty field is that is all of its line.
    if (this.#width === 1 || (this.#inHeader && from > 0)) return false
    // The last line need not end.
    const ends = next === end + 1 ? buffer[end] === LF : final && next === end
    return ends && newlines === 0 && end > from && !strayQuotes && end - from < USUAL_LINE_BYTES
  }

  #write(records: RecordFile, buffer: Buffer, from: number): void {
    const { end, strayQuotes } = this.#scanner
    records.begin(this.#line)
    if (strayQuotes) this.#rewritten(records, buffer.toString('utf8', from, end))
    else {
      records.next()
      records.raw(buffer, from, end)
    }
    records.end()
  }

  /** A record with quotes inside unquoted fields, which DuckDB would take for quoting. */
  #rewritten(records: RecordFile, record: string): void {
    for (const field of csvFields(record, this.#delimiter)) {
      records.next()
      if (field !== null) records.text(field)
    }
  }

  #checkLength(bytes: number): void {
    if (bytes > MAX_RECORD_BYTES) throw badLine(this.#line, 'a record that begins here is longer than 16 MiB')
  }
}
