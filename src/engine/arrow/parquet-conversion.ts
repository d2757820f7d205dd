/**
 * What passes between the process that imports (to-parquet.ts) and the one that it starts in the folder of the conversion
 * (to-parquet-process.ts), which has no arguments:
 *
 *   started ─▶ reads SOURCE ─▶ converted, exit code 0
 *                           └▶ the reason on standard error and exit code 1, or however Polars ends it
 *
 * What ends it before it has started is no fault of the file.
 */
export type ConversionMessage =
  | { is: 'started' }
  /** The Parquet files, in order, by their names in the folder. */
  | { is: 'converted'; parts: string[] }

/** The name in the folder of the file to convert. */
export const SOURCE = 'source.arrow'
