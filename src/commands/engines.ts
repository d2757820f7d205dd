import { arrowEngine } from '../engine/arrow/index.ts'
import { duckdbEngine } from '../engine/duckdb/index.ts'
import type { QueryLimits } from '../engine/duckdb/queries/query-processes.ts'
import { DuckDBReaders } from '../engine/duckdb/readers.ts'
import type { Engine } from '../engine/engine.ts'
import type { EngineName } from '../kinds/context.ts'
import type { Log } from '../platform/log.ts'

/** The engines of a process, by their names; they share its readers. */
export function enginesOf({
  log,
  queries,
  writerMemoryBytes,
  warm = false,
}: {
  log: Log
  queries: QueryLimits & { folder: string }
  writerMemoryBytes?: number
  warm?: boolean
}): Record<EngineName, Engine> {
  const readers = DuckDBReaders.shared(queries)
  return {
    DUCKDB: duckdbEngine({ log, readers, writerMemoryBytes, warm }),
    ARROW: arrowEngine({ log, readers, folder: queries.folder, writerMemoryBytes }),
  }
}
