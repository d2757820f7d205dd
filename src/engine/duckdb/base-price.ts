import type { SizedWal } from './database-wal.ts'

/**
 * What any base costs: a checkpoint, and its syncs; and what each byte that it writes takes on top of that. Measured once, as what
 * a WAL costs is: a machine that is slow or busy takes longer for both, and what matters is the one beside the other.
 */
const BASE_MS = { least: 30, byte: 2e-6 }
/** A reader opens a version in a tenth of a second, even where a new base would be dear. */
const MOST_REPLAY_MS = 100
/** What a WAL of more would cost its readers is not looked at. */
export const MOST_WAL_BYTES = 1 << 20
/** With less than this, a new base is not worth its making even while nobody waits. */
const LEAST_REPLAY_MS = 5

/** What bases cost to make, beside what the WAL behind the present one costs the readers of its versions. */
export class BasePrice {
  #copyMs = BASE_MS.least
  /** The next one is taken to change as much as the last one that was no copy. */
  #patchMs = BASE_MS.least
  /** What the versions of the present base have cost their readers. */
  #replayedMs = 0
  #last = { size: 0, replayMs: 0 }

  /** There is another base now, of so many bytes; so many of them had changed. */
  renewed({ bytes, changedBytes }: { bytes: number; changedBytes: number }): void {
    this.#copyMs = BASE_MS.least + bytes * BASE_MS.byte
    if (changedBytes < bytes) this.#patchMs = BASE_MS.least + changedBytes * BASE_MS.byte
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
    return shareOf(this.#last) > 1 / 2 || this.#replayedMs > (by === 'patch' ? this.#patchMs : this.#copyMs)
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
