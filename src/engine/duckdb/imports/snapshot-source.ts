import type { ReadModel } from '../../../kinds/context.ts'
import { chooseFills } from './fills.ts'
import { columnsOf, relationsOf } from './parquet-source.ts'
import type { Reading, Source } from './source.ts'

/**
 * A table of a version of another model.
 * @throws TeatreeError BAD_VALUE where its columns do not fill the table
 */
export async function readSnapshot(
  reading: Reading,
  table: string,
  attached: () => Promise<ReadModel>,
): Promise<Source> {
  const rows = (await attached()).table(table)
  const columns = await columnsOf(reading.sql, rows)
  return {
    ...relationsOf(rows, columns.length),
    fills: chooseFills(reading.table, reading.mapping, columns),
    readError: error => error,
  }
}
