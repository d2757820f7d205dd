import type { Column, KindShape, Table } from '../kinds/kind.ts'
import { TeatreeError } from '../platform/errors.ts'

/**
 * The columns that the table has got since a version was made with the shape `stored`, which read as null; null where the
 * version has no such table.
 * @throws TeatreeError KIND_CHANGED where a column was of another type: a cast would make up values, 8 of 7.5
 */
export function columnsLacked(table: Pick<Table, 'name' | 'columns'>, stored: KindShape): Set<string> | null {
  const there = Object.hasOwn(stored, table.name) ? stored[table.name]?.columns : undefined
  if (!there) return null
  const lacked = new Set<string>()
  for (const column of table.columns.values()) {
    const was = Object.hasOwn(there, column.name) ? there[column.name] : undefined
    if (!isReadable(column, was)) throw kindChanged(table, column, was)
    if (was === undefined) lacked.add(column.name)
  }
  return lacked
}

/** Whether it was of the same type, with nulls or without; one that was not there is null. */
const isReadable = ({ type, nullable }: Column, was: string | undefined): boolean =>
  was === undefined ? nullable : was.replace(/\?$/, '') === type

function kindChanged(table: Pick<Table, 'name'>, { name, type }: Column, was: string | undefined): TeatreeError {
  const before = was === undefined ? 'was not there' : `was ${was}`
  const difference = `column ${table.name}.${name} ${before} and is ${type}`
  return new TeatreeError('KIND_CHANGED', `the version was made before the kind changed: ${difference}`, {
    details: { differences: [difference] },
  })
}
