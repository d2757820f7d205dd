import { join } from 'node:path'
import { TEXT } from './casts.ts'
import { badLine, checkText } from './file-errors.ts'
import { type FileWindow, fileWindows, MAX_RECORD_BYTES } from './file-window.ts'
import { badColumns, chooseFills, extra, wantedNames } from './fills.ts'
import { JSON_VALUE, JsonError, JsonLineScanner, jsonText } from './json-line.ts'
import { RecordFile } from './record-file.ts'
import type { Reading, Source } from './source.ts'

const LF = 0x0a
/** So many keys that the table does not know are named. */
const MAX_EXTRA = 20

/**
 * A file of newline-delimited JSON: an object in each line, empty lines skipped. A key that is not there is null. Numbers,
 * true and false are taken as the text that they are.
 * @throws TeatreeError BAD_FILE with the line, BAD_VALUE where its keys do not fill the table
 */
export async function readNdjson(reading: Reading, path: string): Promise<Source> {
  const wanted = [...wantedNames(reading.table, reading.mapping)]
  const keys = [...new Set(wanted.map(([, from]) => from))]
  const fills = chooseFills(reading.table, reading.mapping, asColumns(keys))
  const records = await RecordFile.create(join(reading.scratch, 'records.csv'))
  const reader = new NdjsonReader(keys, records)
  try {
    for await (const window of fileWindows(path, reading.signal)) {
      reader.take(window)
      await records.drain()
      reading.onRead(window.progress)
    }
    await records.finish()
  } finally {
    await records.close()
  }
  const mapped = Object.keys(reading.mapping ?? {}).length > 0
  if (!mapped && reader.others.size > 0) {
    throw badColumns([...reader.others].map(column => ({ column, message: extra(reading.table) })))
  }
  // without a record no key is missing
  if (records.records > 0) {
    const there = keys.filter((_, index) => reader.seen[index])
    chooseFills(reading.table, reading.mapping, asColumns(there))
  }
  // Behind the values it says which of them are nested.
  const fields = keys.length + 1
  const relation = `(SELECT * RENAME (c${keys.length} AS _nested) FROM ${records.relation(fields)})`
  return {
    relation,
    cells: relation,
    fills,
    records: records.records,
    text: { path: records.path, delimiter: ',', fields, isNumbered: true },
    nested: reader.nested,
    readError: error => error,
  }
}

const asColumns = (keys: readonly string[]) => keys.map(name => ({ name, type: TEXT }))

class NdjsonReader {
  /** Keys that nobody wants, the first of them. */
  readonly others = new Set<string>()
  /** Which keys have been there. */
  readonly seen: Uint8Array
  nested = false
  readonly #keys: readonly string[]
  readonly #records: RecordFile
  readonly #scanner: JsonLineScanner
  #line = 1

  constructor(keys: readonly string[], records: RecordFile) {
    this.#keys = keys
    this.#records = records
    this.seen = new Uint8Array(keys.length)
    this.#scanner = new JsonLineScanner(keys, key => {
      if (this.others.size < MAX_EXTRA) this.others.add(key)
    })
  }

  /** The lines that end in the window. */
  take(window: FileWindow): void {
    const { buffer, from, to, final } = window
    const found = final ? to : buffer.subarray(from, to).lastIndexOf(LF) + 1 + from
    checkText(buffer.subarray(from, found), this.#line)
    for (let at = from; at < found; this.#line++) {
      const next = buffer.indexOf(LF, at)
      const end = next < 0 || next >= found ? found : next
      this.#take(buffer, at, end)
      at = end + 1
    }
    window.from = found
    this.#checkLength(to - found)
  }

  #checkLength(bytes: number): void {
    if (bytes > MAX_RECORD_BYTES) throw badLine(this.#line, 'it is longer than 16 MiB')
  }

  #take(buffer: Buffer, from: number, end: number): void {
    this.#checkLength(end - from)
    try {
      if (this.#scanner.scan(buffer, from, end)) this.#record(buffer)
    } catch (error) {
      if (error instanceof JsonError) throw badLine(this.#line, error.message)
      throw error
    }
  }

  #record(buffer: Buffer): void {
    const { values, from, to } = this.#scanner
    const records = this.#records
    let nested = ''
    records.begin(this.#line)
    for (let index = 0; index < this.#keys.length; index++) {
      const value = values[index]
      records.next()
      if (value === JSON_VALUE.missing) continue
      this.seen[index] = 1
      const start = from[index] as number
      const end = to[index] as number
      if (value === JSON_VALUE.bare) records.raw(buffer, start, end)
      else if (value === JSON_VALUE.plain) records.quoted(buffer, start, end)
      else if (value === JSON_VALUE.escaped) records.text(jsonText(buffer.subarray(start, end)))
      else if (value === JSON_VALUE.nested) nested += `${nested === '' ? '' : ','}${index}`
    }
    records.next()
    if (nested !== '') {
      this.nested = true
      records.text(`,${nested},`)
    }
    records.end()
  }
}
