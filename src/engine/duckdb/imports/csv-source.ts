import { join } from 'node:path'
import { TEXT } from './casts.ts'
import { type CsvHeader, readCsvHeader } from './csv-header.ts'
import { CsvError, CsvScanner, csvFields } from './csv-record.ts'
import { badLine, checkText, FaultyLines } from './file-errors.ts'
import { type FileWindow, fileWindows, MAX_RECORD_BYTES } from './file-window.ts'
import { chooseFills } from './fills.ts'
import { RecordFile } from './record-file.ts'
import type { Reading, Source } from './source.ts'

/**
 * A CSV file: UTF-8 with a header, every record as wide as that. An empty field is null, "" the empty string. Lines without
 * anything are skipped, but where there is one column, an empty line is a null.
 * @throws TeatreeError BAD_FILE with lines, BAD_VALUE where its columns do not fill the table
 */
export async function readCsv(reading: Reading, path: string): Promise<Source> {
  const header = await readCsvHeader(path, reading.signal)
  const fills = chooseFills(
    reading.table,
    reading.mapping,
    header.names.map(name => ({ name, type: TEXT })),
  )
  const records = await RecordFile.create(join(reading.scratch, 'records.csv'), header.delimiter)
  try {
    const reader = new CsvReader(header, records)
    for await (const window of fileWindows(path, reading.signal)) {
      reader.take(window)
      await records.drain()
      reading.onRead(window.progress)
    }
    reader.end()
    await records.finish()
  } finally {
    await records.close()
  }
  return {
    relation: `(SELECT * FROM ${records.relation(header.names.length)})`,
    fills,
    records: records.records,
    text: { path: records.path, delimiter: header.delimiter, fields: header.names.length },
    readError: error => error,
  }
}

class CsvReader {
  readonly #delimiter: string
  readonly #width: number
  readonly #records: RecordFile
  readonly #scanner: CsvScanner
  readonly #faults = new FaultyLines()
  #line = 1
  #row = 0
  #inHeader = true

  constructor({ delimiter, names }: CsvHeader, records: RecordFile) {
    this.#delimiter = delimiter
    this.#width = names.length
    this.#records = records
    this.#scanner = new CsvScanner(delimiter)
  }

  /** The records that end in the window. */
  take(window: FileWindow): void {
    const { buffer, from, to, final } = window
    const scanner = this.#scanner
    const line = this.#line
    let at = from
    try {
      for (; at < to && scanner.scan(buffer, at, to, final); at = scanner.next) {
        this.#record(buffer, at)
        this.#line += scanner.newlines + 1
      }
    } catch (error) {
      if (error instanceof CsvError) throw badLine(this.#line, error.message)
      throw error
    }
    checkText(buffer.subarray(from, at), line)
    window.from = at
    this.#checkLength(to - at)
  }

  /** @throws TeatreeError BAD_FILE where lines were at fault */
  end(): void {
    this.#faults.check()
  }

  #record(buffer: Buffer, from: number): void {
    const { end, fields, strayQuotes } = this.#scanner
    this.#checkLength(end - from)
    if (end === from && (this.#width > 1 || this.#inHeader)) return
    if (this.#inHeader) {
      this.#inHeader = false
      return
    }
    this.#row++
    if (fields !== this.#width) {
      const count = fields === 1 ? '1 field' : `${fields} fields`
      this.#faults.add(this.#line, this.#row, `it has ${count}, and the header has ${this.#width}`)
      return
    }
    this.#records.begin(this.#line)
    if (strayQuotes) this.#rewritten(buffer.toString('utf8', from, end))
    else {
      this.#records.next()
      this.#records.raw(buffer, from, end)
    }
    this.#records.end()
  }

  #checkLength(bytes: number): void {
    if (bytes > MAX_RECORD_BYTES) throw badLine(this.#line, 'a record that begins here is longer than 16 MiB')
  }

  /** A record with quotes inside unquoted fields, which DuckDB would take for quoting. */
  #rewritten(record: string): void {
    for (const field of csvFields(record, this.#delimiter)) {
      this.#records.next()
      if (field !== null) this.#records.text(field)
    }
  }
}
