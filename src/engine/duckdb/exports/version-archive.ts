import { join } from 'node:path'
import type { Kind, Kinds } from '../../../kinds/kind.ts'
import type { ArchivedVersion, SnapshotRef } from '../../engine.ts'
import { withAttached } from '../attached-models.ts'
import { inMemory } from '../in-memory.ts'
import { interruptible } from '../interruptible.ts'
import { checkShape } from '../open-model.ts'
import { literal, quoted } from '../sql.ts'

/**
 * A version of a model of the kind as an archive has it, in `dir`: for an engine that makes its own files of that.
 * @throws TeatreeError KIND_CHANGED where it was made with a shape of the kind that this one cannot take up
 * @throws SourceDamaged
 */
export async function archiveDuckDB(
  ref: SnapshotRef,
  kind: Kind,
  kinds: Kinds,
  dir: string,
  signal: AbortSignal,
): Promise<ArchivedVersion> {
  await checkShape(ref.files, kind)
  return inMemory(join(dir, 'spill'), (sql, connection) =>
    withAttached(sql, [ref], kinds, models =>
      interruptible(connection, signal, async () => {
        const tables: Record<string, { path: string; rows: number }> = {}
        for (const { name, columns } of kind.tables.values()) {
          signal.throwIfAborted()
          const path = join(dir, `${name}.parquet`)
          const list = [...columns.keys()].map(quoted).join(', ')
          const [written] = await sql.all(
            `COPY (SELECT ${list} FROM ${models[0]?.table(name)}) TO ${literal(path)} (FORMAT parquet, COMPRESSION lz4)`,
          )
          tables[name] = { path, rows: Number(written?.Count) }
        }
        return { version: ref.version, lastSeq: 0n, shape: kind.shape, tables }
      }),
    ),
  )
}
