import type { Kind } from '../kinds/kind.ts'
import type { SnapshotReader, SnapshotRef } from './engine.ts'

/** An open version as readers of any engine have it, for a query of another model that reads it together with its own. */
export interface VersionBeside {
  /** It stays open until what this answers is called. */
  holdOpen(): () => void
  readonly kind: Kind
  /** As a function would be given it. */
  asSource(alias: string, model: string): SnapshotRef
  /**
   * The rows of its tables as Parquet files, by table; they are there while it is open. Only of an engine whose files are
   * nothing that SQL can be attached to.
   */
  parquets?(signal: AbortSignal | undefined): Promise<Readonly<Record<string, readonly string[]>>>
}

export function versionBeside(reader: SnapshotReader): SnapshotReader & VersionBeside {
  if ('holdOpen' in reader && 'asSource' in reader) return reader as SnapshotReader & VersionBeside
  throw new Error('a version that is read beside another must be open in the readers of this process')
}

/** None of the versions is closed while the one read of them is under way. */
export async function holding<T>(versions: readonly VersionBeside[], read: () => Promise<T>): Promise<T> {
  using held = new DisposableStack()
  for (const version of versions) held.defer(version.holdOpen())
  return await read()
}
