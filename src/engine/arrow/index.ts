import type { Log } from '../../platform/log.ts'
import { describeUpload } from '../duckdb/imports/describe-upload.ts'
import type { DuckDBReaders } from '../duckdb/readers.ts'
import type { Engine } from '../engine.ts'
import { FileChecks } from './file-checks.ts'
import { ArrowReaders } from './readers.ts'
import { restoreModel } from './restore.ts'
import { openArrowWriter } from './writer.ts'

/**
 * The engine that keeps a model as a folder of Arrow files, which Polars computes on. What text, uploads and SQL mean is DuckDB's
 * word there too, of whose `readers` it needs a part. `log` is told of faults in kinds' functions, `folder` is for files on the
 * way of reads.
 */
export const arrowEngine = ({
  log,
  readers,
  folder,
}: {
  log: Pick<Log, 'error'>
  readers: () => Promise<DuckDBReaders>
  folder: string
}): Engine => {
  const checks = new FileChecks()
  return {
    name: 'ARROW',
    openWriter: options => openArrowWriter({ ...options, log }),
    openReaders: async () => new ArrowReaders(await readers(), folder),
    restore: restoreModel,
    describeFile: describeUpload,
    checkFile: (path, file) => checks.check(path, file),
  }
}
