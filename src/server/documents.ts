import { LRUCache } from 'lru-cache'

/** Documents are kept as they were parsed; one that is longer than this holds data, and does not come again. */
const MAX_KEPT_LENGTH = 8 << 10
const MAX_KEPT = 500

/** What became of the documents that came last, by their text. */
export class DocumentCache<T extends object> {
  readonly #kept = new LRUCache<string, T>({ max: MAX_KEPT })

  get(document: string): T | undefined {
    return this.#kept.get(document)
  }

  set(document: string, parsed: T): void {
    if (document.length <= MAX_KEPT_LENGTH) this.#kept.set(document, parsed)
  }
}
