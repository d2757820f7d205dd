import type { Log } from '../../platform/log.ts'
import { describeUpload } from '../duckdb/imports/describe-upload.ts'
import type { DuckDBReaders } from '../duckdb/readers.ts'
import type { Engine } from '../engine.ts'
import { FileChecks } from './file-checks.ts'

/**
 * The engine that keeps a model as a folder of Arrow files, which Polars computes on. What text, uploads and SQL mean is DuckDB's
 * word there too, of whose `readers` it needs a part. `log` is told of faults in kinds' functions, `folder` is for files on the
 * way of reads. Its modules are loaded when it is first used: a process has models on DuckDB alone more often than not, and is
 * there in two thirds of the time without Polars and Arrow.
 */
export const arrowEngine = ({
  log,
  readers,
  folder,
  writerMemoryBytes,
}: {
  log: Pick<Log, 'error'>
  readers: () => Promise<DuckDBReaders>
  folder: string
  writerMemoryBytes?: number | undefined
}): Engine => {
  const checks = new FileChecks()
  return {
    name: 'ARROW',
    async openWriter(options) {
      const { openArrowWriter } = await import('./writer.ts')
      return openArrowWriter({ ...options, log, memoryBytes: writerMemoryBytes })
    },
    async openReaders() {
      const { ArrowReaders } = await import('./readers.ts')
      return new ArrowReaders(await readers(), folder, checks)
    },
    async restore(...archived) {
      const { restoreModel } = await import('./restore.ts')
      return restoreModel(...archived)
    },
    describeFile: describeUpload,
    checkFile: (path, file) => checks.check(path, file),
  }
}
