import type { SizedWal } from './database-wal.ts'

/**
 * Of a base whose file is patched: a checkpoint, and its syncs. Measured once, as what a WAL costs is: a machine that is slow or
 * busy takes longer for both, and what matters is the one beside the other.
 */
const PATCH_MS = 30
/** What a copy takes on top of that. */
const COPY_MS_PER_BYTE = 2e-6
/** A reader opens a version in a tenth of a second, even where a new base would be dear. */
const MOST_REPLAY_MS = 100
/** What a WAL of more would cost its readers is not looked at. */
export const MOST_WAL_BYTES = 1 << 20
/** With less than this, a new base is not worth its making even while nobody waits. */
const LEAST_REPLAY_MS = 5

/** What bases cost to make, beside what the WAL behind the present one costs the readers of its versions. */
export class BasePrice {
  #copyMs = PATCH_MS
  /** What the versions of the present base have cost their readers. */
  #replayedMs = 0
  #last = { size: 0, replayMs: 0 }

  /** There is another base now, of so many bytes. */
  renewed(bytes: number): void {
    this.#copyMs = PATCH_MS + bytes * COPY_MS_PER_BYTE
    this.#replayedMs = 0
    this.#last = { size: 0, replayMs: 0 }
  }

  /** A version has that WAL. */
  published({ size, replayMs }: SizedWal): void {
    this.#replayedMs += replayMs
    this.#last = { size, replayMs }
  }

  /** Whether a version with that WAL must not be. */
  isTooDear(wal: SizedWal): boolean {
    return shareOf(wal) > 1
  }

  /** Whether the last versions have cost their readers what a new base costs, or the next ones may be too dear. */
  isBaseWorth(by: 'patch' | 'copy'): boolean {
    return shareOf(this.#last) > 1 / 2 || this.#replayedMs > (by === 'patch' ? PATCH_MS : this.#copyMs)
  }

  /** Whether a new base with that WAL in it is worth its making while nobody waits. */
  isBaseWorthInQuiet(wal: SizedWal, by: 'patch' | 'copy'): boolean {
    return wal.replayMs >= LEAST_REPLAY_MS && (by === 'patch' || this.#replayedMs > this.#copyMs)
  }

  /**
   * Whether a file to be patched is worth its copying. The base before is still a version's for the first few versions,
   * and will do once it is retired: beside it, one is for those alone who keep it long.
   */
  isSpareWorth(isFirst: boolean): boolean {
    const { replayMs } = this.#last
    if (isFirst && replayMs > LEAST_REPLAY_MS / 2) return true
    return Math.max(shareOf(this.#last), this.#replayedMs / this.#copyMs) > (isFirst ? 1 / 4 : 3 / 4)
  }
}

/** How much of what a WAL may be it is. */
const shareOf = ({ size, replayMs }: Pick<SizedWal, 'size' | 'replayMs'>): number =>
  Math.max(size / MOST_WAL_BYTES, replayMs / MOST_REPLAY_MS)
