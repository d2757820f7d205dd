import { join } from 'node:path'
import type { Kinds } from '../../../kinds/kind.ts'
import type { SnapshotRef } from '../../engine.ts'
import { withAttached } from '../attached-models.ts'
import { inMemory } from '../in-memory.ts'
import { interruptible } from '../interruptible.ts'
import { literal, quoted } from '../sql.ts'

/**
 * Those columns of a table of a version as a Parquet file at `to`, for an engine that computes on it; nothing else is read.
 * @param spill a folder of its own, for what does not fit into memory
 * @returns how many rows there are
 * @throws TeatreeError UNKNOWN_KIND, KIND_CHANGED
 * @throws SourceDamaged
 */
export function exportColumns(
  { ref, kinds, table, columns }: { ref: SnapshotRef; kinds: Kinds; table: string; columns: readonly string[] },
  to: string,
  { spill, signal }: { spill: string; signal: AbortSignal },
): Promise<number> {
  return inMemory(join(spill, 'spill'), (sql, connection) =>
    withAttached(sql, [ref], kinds, ([model]) =>
      interruptible(connection, signal, async () => {
        const select = `SELECT ${columns.map(quoted).join(', ')} FROM ${model?.table(table)}`
        const [written] = await sql.all(`COPY (${select}) TO ${literal(to)} (FORMAT parquet, COMPRESSION lz4)`)
        return Number(written?.Count)
      }),
    ),
  )
}
