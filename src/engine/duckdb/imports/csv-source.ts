import { join } from 'node:path'
import { TEXT } from './casts.ts'
import { type CsvHeader, readCsvHeader } from './csv-header.ts'
import { CsvReader } from './csv-reader.ts'
import { fileWindows } from './file-window.ts'
import { chooseFills } from './fills.ts'
import { csvScan, RecordFile, textColumns } from './record-file.ts'
import type { Reading, Source } from './source.ts'

/**
 * A CSV file: UTF-8 with a header, every record as wide as that. An empty field is null, "" the empty string. Lines without
 * anything are skipped, but where there is one column, an empty line is a null. One that is plain is read as it came.
 * @throws TeatreeError BAD_FILE with lines, BAD_VALUE where its columns do not fill the table
 */
export async function readCsv(reading: Reading, path: string): Promise<Source> {
  const header = await readCsvHeader(path, reading.signal)
  const fills = chooseFills(
    reading.table,
    reading.mapping,
    header.names.map(name => ({ name, type: TEXT })),
  )
  const read = (await readPlain(reading, path, header)) ?? (await readOther(reading, path, header))
  return { ...read, fills, readError: error => error }
}

type Read = Omit<Source, 'fills' | 'readError'>

/** Null where it is not plain. */
async function readPlain(reading: Reading, path: string, header: CsvHeader): Promise<Read | null> {
  const reader = new CsvReader(header, null)
  if (!(await readWith(reader, reading, path))) return null
  const { delimiter, names } = header
  const fields = names.length
  const cells = csvScan({ path, delimiter, columns: textColumns(fields), hasHeader: true, longest: 0 })
  return {
    relation: `(SELECT *, _row + 1 AS _line FROM (SELECT *, row_number() OVER () AS _row FROM ${cells}))`,
    cells: `(SELECT * FROM ${cells})`,
    records: reader.rows,
    text: { path, delimiter, fields, isNumbered: false },
  }
}

async function readOther(reading: Reading, path: string, header: CsvHeader): Promise<Read> {
  const { delimiter, names } = header
  const fields = names.length
  const records = await RecordFile.create(join(reading.scratch, 'records.csv'), delimiter)
  try {
    await readWith(new CsvReader(header, records), reading, path, () => records.drain())
    await records.finish()
  } finally {
    await records.close()
  }
  const relation = `(SELECT * FROM ${records.relation(fields)})`
  return {
    relation,
    cells: relation,
    records: records.records,
    text: { path: records.path, delimiter, fields, isNumbered: true },
  }
}

/** Has the file read to its end, or until its reader has seen enough; whether the file is plain, where that was looked for. */
async function readWith(
  reader: CsvReader,
  { signal, onRead }: Reading,
  path: string,
  drain = async () => {},
): Promise<boolean> {
  for await (const window of fileWindows(path, signal)) {
    if (!reader.take(window)) return false
    await drain()
    onRead(window.progress)
  }
  return reader.end()
}
