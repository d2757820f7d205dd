import { describeUpload } from '../duckdb/imports/describe-upload.ts'
import type { QueryLimits } from '../duckdb/queries/query-processes.ts'
import type { Engine } from '../engine.ts'
import { ArrowReaders } from './readers.ts'
import { restoreModel } from './restore.ts'
import { openArrowWriter } from './writer.ts'

/**
 * The engine that keeps a model as a folder of Arrow files, which Polars computes on. What text, uploads and SQL mean is DuckDB's
 * word there too. `queries` bounds what runs in processes of its own.
 */
export const arrowEngine = ({ queries }: { queries?: QueryLimits } = {}): Engine => ({
  name: 'ARROW',
  openWriter: openArrowWriter,
  openReaders: () => ArrowReaders.start({}, queries),
  restore: restoreModel,
  describeFile: describeUpload,
})
