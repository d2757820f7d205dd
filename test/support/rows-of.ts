import type { SnapshotReader } from '../../src/engine/engine.ts'
import { ALL } from '../../src/engine/plan.ts'
import type { Kind } from '../../src/kinds/kind.ts'
import type { Row } from '../../src/kinds/types.ts'

/** Every cell of a version, up to so many rows of a table, with the version and seq that its files say they hold. */
export async function rowsOf(reader: SnapshotReader, kind: Kind, limit = 100_000) {
  const tables: Record<string, readonly Row[]> = {}
  for (const { name, columns, key } of kind.tables.values()) {
    const orderBy = key.map(column => ({ column, direction: 'ASC' as const, nulls: 'LAST' as const }))
    tables[name] = await reader.rows({ table: name, columns: [...columns.keys()], where: ALL, orderBy, limit })
  }
  return { version: reader.version, lastSeq: reader.lastSeq, tables }
}
