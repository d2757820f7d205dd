const QUOTE = 0x22
const LF = 0x0a
const CR = 0x0d

export class CsvError extends Error {}

/**
 * Finds where the records of a CSV file end. A field is quoted where a quote is its first character; in it a doubled quote
 * stands for one, and newlines and delimiters are text. Records end with LF, CRLF or CR.
 */
export class CsvScanner {
  readonly #delimiter: number
  /** No byte above it ends a field or quotes one. */
  readonly #ceiling: number
  /** The record found last: its bytes are `from` (as it was given) to `end`, the next one begins at `next`. */
  end = 0
  next = 0
  fields = 0
  /** The newlines inside its fields. */
  newlines = 0
  /** Whether quotes stand where no quoted field begins, as in `5" pipe`: text like any other, but not to every reader. */
  strayQuotes = false

  constructor(delimiter: string) {
    this.#delimiter = delimiter.charCodeAt(0)
    this.#ceiling = Math.max(this.#delimiter, QUOTE)
  }

  /**
   * The record that begins at `from`, where there must be something; false where its end lies behind `to`. With `final`
   * the bytes end at `to`, and so does the record.
   * @throws CsvError
   */
  scan(buffer: Uint8Array, from: number, to: number, final: boolean): boolean {
    const delimiter = this.#delimiter
    const ceiling = this.#ceiling
    let at = from
    this.fields = 1
    this.newlines = 0
    this.strayQuotes = false
    for (;;) {
      if (at < to && buffer[at] === QUOTE) {
        at = this.#quoted(buffer, at + 1, to, final)
        if (at < 0) return false
      } else {
        for (; at < to; at++) {
          const byte = buffer[at] as number
          if (byte > ceiling) continue
          if (byte === delimiter || byte === LF || byte === CR) break
          if (byte === QUOTE) this.strayQuotes = true
        }
      }
      if (at >= to) {
        this.end = to
        this.next = to
        return final
      }
      const byte = buffer[at]
      if (byte === delimiter) {
        this.fields++
        at++
      } else if (byte === LF || byte === CR) {
        this.end = at
        if (byte === CR && at + 1 >= to && !final) return false
        this.next = byte === CR && at + 1 < to && buffer[at + 1] === LF ? at + 2 : at + 1
        return true
      } else {
        throw new CsvError('after the closing quote of a field there must be a delimiter or a new line')
      }
    }
  }

  /** From behind the opening quote to behind the closing one; -1 where it lies behind `to`. */
  #quoted(buffer: Uint8Array, from: number, to: number, final: boolean): number {
    for (let at = from; at < to; at++) {
      const byte = buffer[at] as number
      if (byte > QUOTE) continue
      if (byte === QUOTE) {
        if (at + 1 >= to && !final) return -1
        if (at + 1 >= to || buffer[at + 1] !== QUOTE) return at + 1
        at++
      } else if (byte === LF || (byte === CR && buffer[at + 1] !== LF)) this.newlines++
    }
    if (final) throw new CsvError('a quoted field is not closed by the end of the file')
    return -1
  }
}

/** The fields of one record; null is an empty field, '' is "". */
export function csvFields(record: string, delimiter: string): (string | null)[] {
  const fields: (string | null)[] = []
  for (let at = 0; at <= record.length; ) {
    if (record.charAt(at) === '"') {
      let close = at + 1
      while (record.charAt(close) !== '"' || record.charAt(close + 1) === '"')
        close += record.charAt(close) === '"' ? 2 : 1
      fields.push(record.slice(at + 1, close).replaceAll('""', '"'))
      at = close + 2
    } else {
      const found = record.indexOf(delimiter, at)
      const close = found < 0 ? record.length : found
      fields.push(close === at ? null : record.slice(at, close))
      at = close + 1
    }
  }
  return fields
}
