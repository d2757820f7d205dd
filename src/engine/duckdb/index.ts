import type { Log } from '../../platform/log.ts'
import type { Engine } from '../engine.ts'
import { exportFile } from './clean-file.ts'
import { describeUpload } from './imports/describe-upload.ts'
import type { QueryLimits } from './queries/query-processes.ts'
import { DuckDBReaders } from './readers.ts'
import { restoreModel } from './restore.ts'
import { openDuckDBWriter } from './writer.ts'

/**
 * The engine that keeps a model as one DuckDB file. `log` is told of faults in kinds' functions; `queries` bounds what
 * runs in processes of its own.
 */
export function duckdbEngine({ log, queries }: { log: Pick<Log, 'error'>; queries?: QueryLimits }): Engine {
  return {
    name: 'DUCKDB',
    openWriter: options => openDuckDBWriter({ ...options, log }),
    openReaders: () => DuckDBReaders.start({}, queries),
    restore: restoreModel,
    exportFile: (of, to) => exportFile(of, to),
    describeFile: describeUpload,
  }
}
