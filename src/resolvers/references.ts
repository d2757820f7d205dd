import type { GraphQLResolveInfo } from 'graphql'
import type { Referring, RowSource, SnapshotSource } from '../../schema/shapes.ts'
import type { ReferenceSpec } from '../kinds/definition.ts'
import type { Table } from '../kinds/kind.ts'
import type { Row, Value } from '../kinds/types.ts'
import { sizeOf, timesSelected } from './answer-budget.ts'
import { keyName, type OperationContext } from './context.ts'
import { columnOf, tableOf } from './row-tables.ts'
import { columnsOf, fieldsOf, refers, type Selection } from './selection.ts'

/** A page whose references are read. */
interface Place {
  snapshot: SnapshotSource
  table: Table
  /** What is selected of its rows. */
  selection: Selection
  /** How many rows of the page lead to each of them; one where left out. */
  times?: readonly number[]
  info: Pick<GraphQLResolveInfo, 'fragments' | 'variableValues'>
  context: OperationContext
}

/**
 * Reads what the rows of a page refer to, as far as it is selected and at whatever depth: each reference in one go, before
 * anything of the page is answered. So the page can be answered piece by piece, and no piece waits for rows of its own.
 */
export async function readReferences(sources: readonly Referring[], place: Place): Promise<void> {
  const { snapshot, table, selection, times, info, context } = place
  if (sources.length === 0 || !refers(table, selection)) return
  const wanted = table.references.filter(({ as }) => selection.has(as))
  const read = async (reference: ReferenceSpec): Promise<[string, (RowSource | null)[]]> => {
    const target = tableOf(snapshot, reference.table)
    const fields = selection.get(reference.as) ?? []
    const below = fieldsOf(info, fields)
    const loads = new Map<string, Promise<RowSource | null>>()
    const rows = await Promise.all(
      sources.map(({ values }) => {
        const key = keyOf(target, reference, values)
        if (!key) return null
        const name = keyName(key)
        const load = loads.get(name) ?? loadRow(snapshot, target, below, key, context)
        loads.set(name, load)
        return load
      }),
    )
    const found = new Map<RowSource, number>()
    for (const [index, row] of rows.entries()) if (row) found.set(row, (found.get(row) ?? 0) + (times?.[index] ?? 1))
    // Each is charged by now for one row that leads to it. By how many names it does is in what is selected below these.
    const selected = timesSelected(below)
    for (const [{ values }, often] of found) context.budget.chargeSize(sizeOf(values) * selected * (often - 1))
    await readReferences([...found.keys()], { ...place, table: target, selection: below, times: [...found.values()] })
    return [reference.as, rows]
  }
  const all = await Promise.all(wanted.map(read))
  for (const [index, source] of sources.entries())
    source.references = new Map(all.map(([as, rows]) => [as, rows[index] ?? null]))
}

/** The key of the row that is referred to; null where the values lead to none. */
export function keyOf(target: Table, { columns }: ReferenceSpec, values: Row): Value[] | null {
  const key = columns.map(name => values[name] ?? null)
  // Nulls are equal in a key, but only a column that may be null has them.
  const leads = key.every((value, index) => value !== null || columnOf(target, target.key[index] ?? '').nullable)
  return leads ? key : null
}

/** One row, with what is selected of it; what is asked for row by row at once is read in one go. */
export async function loadRow(
  snapshot: SnapshotSource,
  table: Table,
  selection: Selection,
  key: readonly Value[],
  context: OperationContext,
): Promise<RowSource | null> {
  const { model, version } = snapshot.version
  const columns = columnsOf(table, selection)
  const batch = context.rowsByKey(JSON.stringify([model, version, table.name, columns]), async keys => {
    const reader = await snapshot.reader()
    const found = await reader.readByKeys(table.name, columns, table.key, keys, context.signal)
    return new Map(found.map((row: Row) => [keyName(table.key.map(name => row[name] ?? null)), row]))
  })
  const values = context.budget.charge(await batch.load(key), timesSelected(selection))
  return values && { snapshot, table, values }
}
