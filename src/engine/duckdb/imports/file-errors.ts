import { isUtf8 } from 'node:buffer'
import { type CellError, MAX_CELLS, TeatreeError } from '../../../platform/errors.ts'
import { faultOf } from '../errors.ts'

/** BAD_FILE at one line of a text file. */
export function badLine(line: number, message: string, row?: number): TeatreeError {
  return badLines([{ line, ...(row === undefined ? {} : { row }), message }])
}

/** BAD_FILE at lines of a text file; there must be one. */
export function badLines(cells: readonly CellError[]): TeatreeError {
  const [first] = cells
  const more = cells.length > 1 ? `, and more lines at fault` : ''
  return new TeatreeError('BAD_FILE', `line ${first?.line}: ${first?.message}${more}`, { cells })
}

/** Lines at fault, gathered as far as an error names them. */
export class FaultyLines {
  readonly #cells: CellError[] = []

  /** @throws TeatreeError once there are as many as an error names */
  add(line: number, row: number, message: string): void {
    this.#cells.push({ line, row, message })
    if (this.#cells.length >= MAX_CELLS) this.check()
  }

  check(): void {
    if (this.#cells.length > 0) throw badLines(this.#cells)
  }
}

/** Throws BAD_FILE with the line unless the records, the first of which begins in `line`, are UTF-8 without U+0000. */
export function checkText(bytes: Buffer, line: number): void {
  if (isUtf8(bytes) && !bytes.includes(0)) return
  for (let from = 0, at = line; from < bytes.length; at++) {
    let end = from
    while (end < bytes.length && bytes[end] !== 0x0a && bytes[end] !== 0x0d) end++
    const text = bytes.subarray(from, end)
    if (!isUtf8(text)) throw badLine(at, 'the bytes are no UTF-8; save the file as UTF-8')
    if (text.includes(0)) throw badLine(at, 'it holds the character U+0000, which is no text')
    from = end + (bytes[end] === 0x0d && bytes[end + 1] === 0x0a ? 2 : 1)
  }
}

/** Errors of DuckDB's class IO that are not about what the file holds; a file that is cut short gives one too. */
const NOT_OF_THE_FILE =
  /^IO Error: (Could not|Cannot|Failed to|No files found) (open|write|create|truncate|sync|that match)|no space left|disk quota|input\/output error|too many open files/i

/** Damaged lengths make DuckDB ask for more memory than any machine has. */
const ABSURD = /^Out of Memory Error: failed to allocate data of size [\d.]+ [TPE]iB/

/** What is told of an error that came while a binary file was read. DuckDB's text is kept as the cause: it names the path. */
export function fileError(error: unknown, format: string): unknown {
  if (!(error instanceof Error) || error instanceof TeatreeError) return error
  const { message } = error
  const isOfTheFile = message.startsWith('IO Error')
    ? !NOT_OF_THE_FILE.test(message)
    : ABSURD.test(message) || faultOf(error) !== 'surroundings'
  if (!isOfTheFile) return error
  const told = `the file begins as ${format} and cannot be read to its end: it is cut short or damaged`
  return new TeatreeError('BAD_FILE', told, { cause: error })
}
