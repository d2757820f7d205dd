import type { Kind } from '../kinds/kind.ts'
import type { Queryable } from '../platform/postgres.ts'
import type { Archive, ArchivedTable } from './archives.ts'
import { intentFunctions } from './functions.ts'
import type { Version } from './records.ts'

/**
 * The tables of a version that are surely as they are in an earlier archive, with what lies there: no intent since then
 * writes to them. The ledger tells; a row write names its one table, and a function may write to any.
 */
export async function unchangedTables(
  db: Queryable,
  kind: Kind,
  version: Version,
  earlier: Archive,
): Promise<ReadonlyMap<string, ArchivedTable>> {
  const since = await db.query<{ function: string }>(
    'SELECT DISTINCT function FROM intent WHERE model = $1 AND version > $2 AND version <= $3',
    [version.model, earlier.version, version.version],
  )
  const written = new Set<string>()
  for (const name of since.map(row => row.function)) {
    const fn = intentFunctions(kind).get(name)
    if (fn?.is !== 'write') return new Map()
    written.add(fn.table.name)
  }
  const comparable = comparableTables(kind, earlier)
  return new Map(
    [...comparable].filter(
      ([name, { rows }]) => !written.has(name) && version.tables.find(table => table.name === name)?.rows === rows,
    ),
  )
}

/** The tables of an earlier archive that have the same columns today. */
export const comparableTables = (kind: Kind, earlier: Archive): ReadonlyMap<string, ArchivedTable> =>
  new Map(
    earlier.tables
      .filter(({ table }) => JSON.stringify(earlier.shape[table]) === JSON.stringify(kind.shape[table]))
      .map(archived => [archived.table, archived]),
  )
