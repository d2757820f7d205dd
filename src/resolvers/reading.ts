import type { Version } from '../jobs/records.ts'
import type { Services } from '../jobs/services.ts'
import type { SnapshotAt } from '../jobs/snapshots.ts'

/** A version that was read, and how it was chosen. */
interface Chosen {
  model: string
  at: SnapshotAt | null
  version: number
  /** Whether a page that has a next one was read from it. */
  paged: boolean
}

/** What an operation reads of models: by it one can tell later whether its answer is what asking again would give. */
export class Reading {
  readonly #snapshots: Services['snapshots']
  readonly #models = new Set<string>()
  readonly #chosen: Chosen[] = []

  constructor(snapshots: Services['snapshots']) {
    this.#snapshots = snapshots
  }

  found(model: string): void {
    this.#models.add(model)
  }

  chose(at: SnapshotAt | null, { model, version }: Version): void {
    this.#chosen.push({ model, at, version, paged: false })
  }

  /** A page that has a next one was read from a version that is held: it is kept for who goes on there. */
  paged(version: Version): void {
    for (const chosen of this.#chosen)
      if (chosen.model === version.model && chosen.version === version.version) chosen.paged = true
    this.#snapshots.paged(version)
  }

  /** Whether every model that was found will be looked for again: with one of its versions. */
  get isComplete(): boolean {
    const chosen = new Set(this.#chosen.map(({ model }) => model))
    return [...this.#models].every(model => chosen.has(model))
  }

  /**
   * Whether the same versions are chosen now. They are found, leased and held as for an answer, and the pages noted that
   * somebody may go on from; where one of them cannot be had, whoever reads it anew is told why.
   */
  async isStill(signal: AbortSignal): Promise<boolean> {
    const acquired = await Promise.allSettled(this.#chosen.map(each => this.#acquire(each, signal)))
    const open = acquired.flatMap(outcome => (outcome.status === 'fulfilled' ? [outcome.value] : []))
    try {
      const isSame = ({ version }: Chosen, index: number) => open[index]?.version.version === version
      if (open.length < this.#chosen.length || !this.#chosen.every(isSame)) return false
      for (const [index, { paged }] of this.#chosen.entries())
        if (paged && open[index]) this.#snapshots.paged(open[index].version)
      return true
    } finally {
      for (const snapshot of open) snapshot.release()
    }
  }

  #acquire({ model, at }: Chosen, signal: AbortSignal) {
    return this.#snapshots.acquire(model, at, 0, signal)
  }
}
