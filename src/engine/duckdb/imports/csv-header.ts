import { shown } from '../../../kinds/values.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import { CsvScanner, csvFields } from './csv-record.ts'
import { badLine, checkText } from './file-errors.ts'
import { type FileWindow, fileWindows, MAX_RECORD_BYTES } from './file-window.ts'

/** Comma first: it wins where another would do as well. */
const DELIMITERS = [',', ';', '\t', '|'] as const
/** So many records beside the header must agree with it on their number of fields. */
const SAMPLE = 100

export interface CsvHeader {
  delimiter: string
  names: readonly string[]
}

/**
 * The header of a CSV file and its delimiter: the one that cuts the header into most columns and the first records into as
 * many.
 * @throws TeatreeError BAD_FILE where there is no header, or a column is named twice
 */
export async function readCsvHeader(path: string, signal: AbortSignal): Promise<CsvHeader> {
  for await (const window of fileWindows(path, signal)) {
    const guesses = DELIMITERS.map(delimiter => sample(window, delimiter))
    const found = guesses.filter(guess => typeof guess === 'object')
    const [best] = found.toSorted((a, b) => Number(b.agrees) - Number(a.agrees) || b.width - a.width)
    if (best) return headerOf(best)
    if (guesses.every(guess => guess === 'broken')) throw badLine(1, 'the header breaks off inside quotes')
    if (window.to - window.from > MAX_RECORD_BYTES) throw badLine(1, 'the header is longer than 16 MiB')
  }
  throw new TeatreeError('BAD_FILE', 'the file has no header: its first line must name the columns')
}

interface Guess {
  delimiter: string
  header: Buffer
  line: number
  width: number
  /** Whether it makes columns, and records as wide as the header. */
  agrees: boolean
}

/** 'open' where the header is not over by the end of the window, 'broken' where its quotes are not right. */
function sample({ buffer, from, to, final }: FileWindow, delimiter: string): Guess | 'open' | 'broken' {
  const scanner = new CsvScanner(delimiter)
  let guess: Guess | null = null
  let line = 1
  let records = 0
  try {
    for (let at = from; at < to && records <= SAMPLE && scanner.scan(buffer, at, to, final); at = scanner.next) {
      if (scanner.end > at) {
        records++
        const width = scanner.fields
        if (guess) guess.agrees &&= width === guess.width
        else guess = { delimiter, header: buffer.subarray(at, scanner.end), line, width, agrees: width > 1 }
      }
      line += scanner.newlines + 1
    }
  } catch {
    if (!guess) return 'broken'
    guess.agrees = false
  }
  return guess ?? 'open'
}

function headerOf({ delimiter, header, line }: Guess): CsvHeader {
  checkText(header, line)
  const names = csvFields(header.toString(), delimiter).map(name => name ?? '')
  const twice = names.find((name, index) => names.indexOf(name) < index)
  if (twice !== undefined) throw badLine(line, `the header names the column ${shown(twice)} twice`)
  return { delimiter, names }
}
