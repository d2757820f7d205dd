/** A file of a version is not there: the version is no longer kept, and a client is told SNAPSHOT_GONE. */
export class SnapshotMissing extends Error {
  override readonly name = 'SnapshotMissing'
  readonly code = 'SNAPSHOT_MISSING'
}
