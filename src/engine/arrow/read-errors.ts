import { TeatreeError } from '../../platform/errors.ts'
import { readError } from '../duckdb/read-errors.ts'
import { SnapshotMissing } from '../snapshot-missing.ts'

/** What is made of an error that Polars gave while reading; its errors have no code, only a text. Whatever is not here is ours. */
const TOLD: readonly { pattern: RegExp; error: (cause: unknown) => Error }[] = [
  {
    pattern: /Compiled regex exceeds size limit/,
    error: cause =>
      new TeatreeError('QUERY_TOO_EXPENSIVE', 'a pattern of like or ilike is too long; give a shorter one', { cause }),
  },
  {
    pattern: /No such file or directory/,
    error: cause => new SnapshotMissing("a file of the version's is gone", { cause }),
  },
]

/** Of Polars, or of DuckDB where it does a part. */
export function arrowReadError(error: unknown): unknown {
  if (!(error instanceof Error) || error instanceof TeatreeError) return error
  return TOLD.find(({ pattern }) => pattern.test(error.message))?.error(error) ?? readError(error)
}
