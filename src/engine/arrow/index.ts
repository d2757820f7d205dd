import type { Log } from '../../platform/log.ts'
import { describeUpload } from '../duckdb/imports/describe-upload.ts'
import type { QueryLimits } from '../duckdb/queries/query-processes.ts'
import type { Engine } from '../engine.ts'
import { ArrowReaders } from './readers.ts'
import { restoreModel } from './restore.ts'
import { openArrowWriter } from './writer.ts'

/**
 * The engine that keeps a model as a folder of Arrow files, which Polars computes on. What text, uploads and SQL mean is DuckDB's
 * word there too. `log` is told of faults in kinds' functions; `queries` bounds what runs in processes of its own.
 */
export const arrowEngine = ({ log, queries }: { log: Pick<Log, 'error'>; queries?: QueryLimits }): Engine => ({
  name: 'ARROW',
  openWriter: options => openArrowWriter({ ...options, log }),
  openReaders: () => ArrowReaders.start({}, queries),
  restore: restoreModel,
  describeFile: describeUpload,
})
