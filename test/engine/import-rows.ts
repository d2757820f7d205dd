import fc from 'fast-check'
import type { Row, Value } from '../../src/kinds/types.ts'

const pad = (number: number, length: number) => String(number).padStart(length, '0')
// DuckDB's client leaves out a byte order mark at the beginning of whatever text it reads
const text = fc
  .oneof(
    fc.string({ unit: 'grapheme' }),
    fc.string({ unit: fc.constantFrom('a', ' ', '"', ',', ';', '\t', '|', '\n', '\r', "'", '\\', 'é', '😀', 'null') }),
    fc.constantFrom('', '""', ' x', 'NULL', 'x\ufeff', '1,5'),
  )
  .filter(made => !made.startsWith('\ufeff'))
const decimal = (whole: number, places: number) =>
  fc
    .tuple(
      fc.boolean(),
      fc.stringMatching(new RegExp(`^[0-9]{1,${whole}}$`)),
      fc.stringMatching(new RegExp(`^[0-9]{${places}}$`)),
    )
    .map(([negative, before, after]) => {
      const number = `${before.replace(/^0+(?=\d)/, '')}.${after}`
      return negative && /[1-9]/.test(number) ? `-${number}` : number
    })
const day = fc
  .date({ min: new Date('0001-01-01T00:00:00Z'), max: new Date('9999-12-31T00:00:00Z'), noInvalidDate: true })
  .map(date => date.toISOString())

/** Rows of the table parcels in canonical form, but for their key. */
export const parcelRow: fc.Arbitrary<Row> = fc.record({
  label: fc.option(text),
  pieces: fc.option(fc.integer({ min: -(2 ** 31), max: 2 ** 31 - 1 })),
  tracking: fc.option(fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map(String)),
  price: fc.option(decimal(14, 4)),
  exact: fc.option(decimal(28, 10)),
  weight: fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map(number => number + 0)),
  fragile: fc.option(fc.boolean()),
  sentOn: fc.option(day.map(iso => iso.slice(0, 10))),
  seenAt: fc.option(fc.tuple(day, fc.nat(999)).map(([iso, micros]) => `${iso.slice(0, 23)}${pad(micros, 3)}Z`)),
})

export const keyed = (rows: readonly Row[]): Row[] => rows.map((row, at) => ({ parcelId: String(at + 1), ...row }))

/** A text file, the line in which each of its records begins, and nothing that a reader would take from the importer. */
export interface Written {
  content: string
  lines: number[]
}

export interface CsvStyle {
  delimiter: string
  newline: string
  /** Says whether the next field is quoted that need not be. */
  quote: () => boolean
}

export function writeCsv(rows: readonly Row[], { delimiter, newline, quote }: CsvStyle): Written {
  const columns = Object.keys(rows[0] ?? {})
  const field = (value: Value | undefined): string => {
    if (value === null || value === undefined) return ''
    const written = String(value)
    return written === '' || /["\r\n]/.test(written) || written.includes(delimiter) || quote()
      ? `"${written.replaceAll('"', '""')}"`
      : written
  }
  const records = rows.map(row => columns.map(name => field(row[name])).join(delimiter))
  return joined([columns.join(delimiter), ...records], newline)
}

export function writeNdjson(rows: readonly Row[], blank: () => boolean): Written {
  const records = rows.map(row => {
    const members = Object.entries(row).flatMap(([name, value]) => {
      if (value === null && blank()) return []
      // numbers as JSON writes them, with all their digits
      const bare = ['tracking', 'price', 'exact', 'parcelId'].includes(name) && /^-?\d+(\.\d+)?$/.test(String(value))
      return [`${JSON.stringify(name)}:${bare ? value : JSON.stringify(value)}`]
    })
    return `${blank() ? '\n' : ''}{${(blank() ? members.toReversed() : members).join(', ')}}`
  })
  const written = joined(records, '\n', false)
  return { ...written, lines: written.lines.map((line, at) => line + (records[at]?.startsWith('\n') ? 1 : 0)) }
}

function joined(records: readonly string[], newline: string, hasHeader = true): Written {
  const lines: number[] = []
  let line = 1
  for (const record of records) {
    lines.push(line)
    line += (`${record}${newline}`.match(/\r\n|\r|\n/g) ?? []).length
  }
  return { content: records.join(newline) + newline, lines: hasHeader ? lines.slice(1) : lines }
}

/** Texts that are no value of a column's type. */
export const DAMAGE: Readonly<Record<string, readonly string[]>> = {
  pieces: ['1.5', '2147483648', ' 1', 'x', ''],
  tracking: ['9223372036854775808', '0.1', '1_000'],
  price: ['1.00001', '100000000000000', 'nan', '1,5'],
  exact: ['0.00000000001', '0x1', '10000000000000000000000000000'],
  weight: ['inf', '1e400', '9007199254740993', '3 kg'],
  fragile: ['1', 'yes', 't'],
  sentOn: ['2013-02-29', '31.01.2013', '2013-01-31T00:00:00Z'],
  seenAt: ['2013-01-31T25:00:00Z', '2013-01-31T09:00:00.1234567Z', 'now'],
}
