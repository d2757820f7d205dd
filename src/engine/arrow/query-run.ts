import type { FrameQueryContext } from '../../kinds/frames.ts'
import type { KindQuery, Kinds } from '../../kinds/kind.ts'
import type { SnapshotRef } from '../engine.ts'
import { polarsType } from './columns.ts'
import { FileChecks } from './file-checks.ts'
import { openVersion } from './manifest.ts'
import pl from './polars.ts'
import { QueryFrames } from './query-frames.ts'
import { allOfQuery } from './query-functions.ts'
import { ReadSources } from './read-frames.ts'
import { VersionTables } from './version-tables.ts'

/** A query function that is run by itself, over the version `own` and the others that it reads. */
export interface QueryRun {
  own: SnapshotRef
  reads: readonly SnapshotRef[]
  args: Readonly<Record<string, unknown>>
}

/**
 * Writes all rows of a query function as a Parquet file at `to`, in its order: those that there are, and one more than
 * `most` at most. With `to` null nothing is computed but what the function itself asks for.
 * @param dir for files on the way
 * @returns how many rows have been written
 */
export async function writeQuery(
  query: KindQuery,
  { own, reads, args }: QueryRun,
  { kinds, dir, to, most }: { kinds: Kinds; dir: string; to: string | null; most: number },
): Promise<number> {
  const kind = kinds.get(own.kind)
  if (!kind) throw new Error(`there is no kind ${own.kind}`)
  const checks = new FileChecks()
  const version = own.version === 0 ? null : await openVersion(own.files)
  await using sources = new ReadSources({ kinds, dir, checks, signal: new AbortController().signal }, reads)
  // What it takes is bounded from outside of the process.
  const frames = new QueryFrames(new VersionTables(kind, version, checks), sources, work => work())
  const context: FrameQueryContext = frames.context(args)
  const all = await allOfQuery(query, context)
  if (to === null) return 0
  const typed = [...query.rowColumns.values()].map(({ name, type }) => pl.col(name).cast(polarsType(type), true))
  const rows = await all
    .limit(most + 1)
    .select(typed)
    .collect()
  await rows.lazy().sinkParquet(to, { compression: 'zstd', maintainOrder: true }).collect()
  return rows.height
}
