import type { FrameQueryContext } from '../../kinds/frames.ts'
import type { KindQuery, Kinds } from '../../kinds/kind.ts'
import type { QueryPage, SnapshotRef } from '../engine.ts'
import { computedRows } from './canonical-rows.ts'
import { polarsType } from './columns.ts'
import { FileChecks } from './file-checks.ts'
import { openVersion } from './manifest.ts'
import pl, { type LazyDataFrame } from './polars.ts'
import { QueryFrames } from './query-frames.ts'
import { allOfQuery, pageOfQuery } from './query-functions.ts'
import { ReadSources } from './read-frames.ts'
import { StreamedFrames } from './streamed-frames.ts'
import { VersionTables } from './version-tables.ts'

/** A query function that is run by itself, over the version `own` and the others that it reads. */
export interface QueryRun {
  own: SnapshotRef
  reads: readonly SnapshotRef[]
  args: Readonly<Record<string, unknown>>
}

interface Place {
  kinds: Kinds
  /** For files on the way. */
  dir: string
}

/**
 * Writes all rows of a query function as a Parquet file at `to`, in its order: those that there are, and one more than
 * `most` at most. With `to` null nothing is computed but what the function itself asks for.
 * @returns how many rows have been written
 */
export const writeQuery = (
  query: KindQuery,
  run: QueryRun,
  { to, most, ...place }: Place & { to: string | null; most: number },
): Promise<number> =>
  withFrames(run, place, async (context, streamed) => {
    const all = await allOfQuery(query, context)
    if (to === null) return 0
    const typed = [...query.rowColumns.values()].map(({ name, type }) => pl.col(name).cast(polarsType(type), true))
    const { frame, rows } = await streamed.compute(all.limit(most + 1).select(typed))
    await frame.sinkParquet(to, { compression: 'zstd', maintainOrder: true }).collect()
    return rows
  })

/** A page of the rows of a query function. */
export const pageOfRun = (query: KindQuery, run: QueryRun, { page, ...place }: Place & { page: QueryPage }) =>
  withFrames(run, place, context => pageOfQuery(query, context, page))

/** Whatever is computed is streamed; what it takes is bounded from outside of the process. */
async function withFrames<T>(
  { own, reads, args }: QueryRun,
  { kinds, dir }: Place,
  work: (context: FrameQueryContext, streamed: StreamedFrames) => Promise<T>,
): Promise<T> {
  const kind = kinds.get(own.kind)
  if (!kind) throw new Error(`there is no kind ${own.kind}`)
  const checks = new FileChecks()
  const version = own.version === 0 ? null : await openVersion(own.files)
  await using sources = new ReadSources({ kinds, dir, checks, signal: new AbortController().signal }, reads)
  await using streamed = new StreamedFrames(dir)
  const rows = async (frame: LazyDataFrame) => computedRows((await streamed.compute(frame)).frame)
  return await work(new QueryFrames(new VersionTables(kind, version, checks), sources, rows).context(args), streamed)
}
