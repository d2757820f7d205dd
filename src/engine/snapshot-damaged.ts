import type { SnapshotRef } from './engine.ts'

/** What a file of a version holds is not what was written to it: the version has to be made again. */
export class SnapshotDamaged extends Error {
  override readonly name = 'SnapshotDamaged'
  readonly code = 'SNAPSHOT_DAMAGED'
}

/** The same of a version of another model that an intent read: that one has to be made again before the intent can be applied. */
export class SourceDamaged extends SnapshotDamaged {
  readonly ref: SnapshotRef

  constructor(ref: SnapshotRef, cause?: unknown) {
    super(`the files of version ${ref.version} of model ${ref.model} are not what was published`, { cause })
    this.ref = ref
  }
}
