import type { Table } from '../../../kinds/kind.ts'
import { TeatreeError } from '../../../platform/errors.ts'
import type { ImportMode } from '../../engine.ts'
import type { RowCounts } from '../../row-counts.ts'
import { faultOf } from '../errors.ts'
import { isKeyTwice } from '../key-conflicts.ts'
import { changed } from '../row-writes.ts'
import { type DuckDBSql, quoted } from '../sql.ts'
import { soundRows } from './fill-stage.ts'
import type { Source } from './source.ts'

/**
 * Writes a source into a table that has no rows, or is to have no others, without a stage: the rows go into the table as
 * they are cast. Null where that cannot be, or a cell or a key is at fault; then nothing was written, the transaction is
 * begun anew, and it is for a stage to say what is wrong.
 */
export async function writeAtOnce(
  { sql, table, mode, signal }: { sql: DuckDBSql; table: Table; mode: ImportMode; signal: AbortSignal },
  source: Source,
): Promise<RowCounts | null> {
  if (mode === 'UPSERT') return null
  const name = quoted(table.name)
  const [first] = mode === 'APPEND' ? await sql.all(`SELECT 1 FROM ${name} LIMIT 1`) : []
  if (first) return null
  try {
    const deleted = mode === 'REPLACE' ? await changed(sql, `DELETE FROM ${name}`) : 0
    const columns = source.fills.map(({ column }) => quoted(column.name))
    const inserted = await changed(sql, `INSERT INTO ${name} (${columns.join(', ')}) ${soundRows(source)}`)
    signal.throwIfAborted()
    const isWhole = source.records === undefined || source.records === inserted
    if (isWhole && !(await isKeyTwice(sql, table, name))) return { inserted, updated: 0, deleted }
  } catch (error) {
    if (signal.aborted) throw error
    const told = source.readError(error)
    if (!(told instanceof TeatreeError) && faultOf(told) === 'surroundings') throw told
  }
  await sql.run('ROLLBACK; BEGIN')
  return null
}
