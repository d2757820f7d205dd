import type { Table } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import type { DiffRow } from './engine.ts'
import type { DiffPlan } from './plan.ts'

/** How a column of either version is called in the rows that changes are read from; `is there` is null where it has no such row. */
export const sideColumn = (of: 'older' | 'newer', column: string) => `${of} ${column}`

/** What takes the changes out of such rows. */
export function diffReader(table: Table, plan: DiffPlan): (row: Row) => DiffRow {
  const side = (of: 'older' | 'newer') => {
    const columns = plan.columns.map(name => [name, sideColumn(of, name)] as const)
    const key = table.key.map(name => sideColumn(of, name))
    return {
      row(from: Row): Row | null {
        if (from[sideColumn(of, 'is there')] === null) return null
        const read: Record<string, Value> = {}
        for (const [name, column] of columns) read[name] = from[column] ?? null
        return read
      },
      key: (from: Row) => key.map(column => from[column] ?? null),
    }
  }
  const [older, newer] = [side('older'), side('newer')]
  return row => {
    const [before, after] = [older.row(row), newer.row(row)]
    const change = before === null ? 'ADDED' : after === null ? 'REMOVED' : 'CHANGED'
    return { change, key: (after ? newer : older).key(row), before, after }
  }
}
