import { TeatreeError } from '../../../platform/errors.ts'
import { IpcError } from '../../arrow/ipc-error.ts'
import { SurroundingsError } from '../../surroundings-error.ts'
import { readParquet } from './parquet-source.ts'
import type { Reading, Source } from './source.ts'

/**
 * An Arrow IPC file or stream, which DuckDB cannot read by itself.
 * @throws TeatreeError BAD_FILE where it cannot be read, BAD_VALUE where its columns do not fill the table
 */
export async function readArrow(reading: Reading, path: string): Promise<Source> {
  const { scratch: dir, signal } = reading
  // Loaded by those alone who import Arrow.
  const { arrowToParquet } = await import('../../arrow/to-parquet.ts')
  const parts = await arrowToParquet({ path, dir, signal }).catch(error => {
    if (error instanceof IpcError || signal.aborted) throw arrowError(error)
    throw new SurroundingsError('the Arrow file could not be converted', error)
  })
  reading.onRead(1)
  return readParquet(reading, parts, 'Arrow')
}

export const arrowError = (error: unknown): unknown =>
  error instanceof IpcError
    ? new TeatreeError('BAD_FILE', `the Arrow file cannot be read: ${error.message}`, { cause: error })
    : error
