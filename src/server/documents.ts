/** Documents are kept as they were parsed; one that is longer than this holds data, and does not come again. */
const MAX_KEPT_LENGTH = 8 << 10
const MAX_KEPT = 500

/** What became of the documents that came last, by their text. */
export class DocumentCache<T> {
  readonly #kept = new Map<string, T>()

  get(document: string): T | undefined {
    const found = this.#kept.get(document)
    // A map keeps the order in which it was filled: the first is then the one not asked for the longest.
    if (found !== undefined) this.#kept.delete(document)
    if (found !== undefined) this.#kept.set(document, found)
    return found
  }

  set(document: string, parsed: T): void {
    if (document.length > MAX_KEPT_LENGTH) return
    this.#kept.set(document, parsed)
    const [oldest] = this.#kept.keys()
    if (this.#kept.size > MAX_KEPT && oldest !== undefined) this.#kept.delete(oldest)
  }
}
