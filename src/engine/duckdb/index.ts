import type { Log } from '../../platform/log.ts'
import type { Engine } from '../engine.ts'
import { exportFile } from './clean-file.ts'
import { describeUpload } from './imports/describe-upload.ts'
import { Instances } from './instances.ts'
import type { QueryLimits } from './queries/query-processes.ts'
import { DuckDBReaders } from './readers.ts'
import { restoreModel } from './restore.ts'
import { openDuckDBWriter } from './writer.ts'

/**
 * The engine that keeps a model as one DuckDB file. `log` is told of faults in kinds' functions; `queries` bounds what
 * runs in processes of its own; `readers` are those of the process, where other engines share them. A writer may have so much
 * memory; of a process that has one alone, that is more than what it is left to otherwise. `warm`: models wake up
 * here, and something is kept ready for the next.
 */
export function duckdbEngine({
  log,
  queries,
  readers = () => DuckDBReaders.start({}, queries),
  writerMemoryBytes,
  warm = false,
}: {
  log: Pick<Log, 'error'>
  queries?: QueryLimits
  readers?: () => Promise<DuckDBReaders>
  writerMemoryBytes?: number | undefined
  warm?: boolean
}): Engine {
  const instances = warm ? new Instances() : undefined
  return {
    name: 'DUCKDB',
    openWriter: options =>
      openDuckDBWriter({
        ...options,
        log,
        instances,
        ...(writerMemoryBytes ? { memoryBytes: writerMemoryBytes } : {}),
      }),
    openReaders: readers,
    restore: restoreModel,
    exportFile: (of, to) => exportFile(of, to),
    describeFile: describeUpload,
  }
}
