import { LRUCache } from 'lru-cache'
import type { Reading } from '../resolvers/index.ts'

/** All answers that a process keeps, with what was asked. */
const MAX_BYTES = 32 << 20
/** What keeping an answer takes besides its bytes, roughly. */
const ANSWER_BYTES = 1 << 10

/** An answer over HTTP that is all there. */
export interface WholeAnswer {
  status: number
  headers: Readonly<Record<string, string>>
  bytes: Buffer
  /** Whether it never changes. */
  lasts: boolean
}

interface Kept {
  answer: WholeAnswer
  reading: Reading
}

/**
 * Answers that are of versions alone, the last used of them, within a bound in bytes. One is given again where what it
 * was read from is found to be chosen again, by asking the database as for a new answer; else it is made anew.
 */
export class KeptAnswers {
  readonly #kept: LRUCache<string, Kept>

  /** An answer that would take a sixteenth of `maxBytes` is not kept. */
  constructor({ maxBytes = MAX_BYTES } = {}) {
    this.#kept = new LRUCache({
      maxSize: maxBytes,
      maxEntrySize: Math.floor(maxBytes / 16),
      sizeCalculation: ({ answer }, key) => ANSWER_BYTES + key.length + answer.bytes.length,
    })
  }

  /** `asked` is all of the request that the answer depends on, and who asks. */
  async find(asked: string, signal: AbortSignal): Promise<WholeAnswer | null> {
    const kept = this.#kept.get(asked)
    return kept && (await kept.reading.isStill(signal)) ? kept.answer : null
  }

  keep(asked: string, answer: WholeAnswer, reading: Reading): void {
    this.#kept.set(asked, { answer, reading })
  }
}
