/** What a file of a version holds is not what was written to it: the version has to be made again. */
export class SnapshotDamaged extends Error {
  override readonly name = 'SnapshotDamaged'
  readonly code = 'SNAPSHOT_DAMAGED'
}
