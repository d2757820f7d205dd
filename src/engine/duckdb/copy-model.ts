import type { ReadModel } from '../../kinds/context.ts'
import type { Kind } from '../../kinds/kind.ts'
import type { Row } from '../../kinds/types.ts'
import type { Work } from '../engine.ts'
import { changed } from './row-writes.ts'
import { type DuckDBSql, quoted } from './sql.ts'

/** Makes every table what it is in the source, a version of a model of the same kind; counts the rows of all tables. */
export async function copyModel(sql: DuckDBSql, kind: Kind, source: ReadModel, onStep: Work['onStep']): Promise<Row> {
  let [inserted, deleted, done] = [0, 0, 0]
  for (const { name, columns } of kind.tables.values()) {
    onStep(`copy ${name}`, done / kind.tables.size)
    const list = [...columns.keys()].map(quoted).join(', ')
    deleted += await changed(sql, `DELETE FROM ${quoted(name)}`)
    inserted += await changed(sql, `INSERT INTO ${quoted(name)} (${list}) SELECT ${list} FROM ${source.table(name)}`)
    done += 1
  }
  return { inserted: String(inserted), updated: '0', deleted: String(deleted) }
}
