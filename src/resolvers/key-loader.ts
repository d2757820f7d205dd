/**
 * Gathers what is asked for one by one and reads it in one go, as soon as nothing more is being asked. Nothing is
 * remembered between two reads.
 */
export class KeyLoader<K, V> {
  readonly #read: (keys: readonly K[]) => Promise<ReadonlyMap<string, V>>
  readonly #nameOf: (key: K) => string
  #waiting: { keys: Map<string, K>; found: Promise<ReadonlyMap<string, V>> } | null = null

  /** `nameOf` tells keys apart; `read` answers by it, and leaves out what is not there. */
  constructor(read: (keys: readonly K[]) => Promise<ReadonlyMap<string, V>>, nameOf: (key: K) => string) {
    this.#read = read
    this.#nameOf = nameOf
  }

  async load(key: K): Promise<V | null> {
    this.#waiting ??= this.#begin()
    const name = this.#nameOf(key)
    this.#waiting.keys.set(name, key)
    return (await this.#waiting.found).get(name) ?? null
  }

  #begin() {
    const keys = new Map<string, K>()
    // setImmediate comes after all promises that are settled by now, and with them after all fields of a page
    const asked = new Promise<void>(resolve => setImmediate(resolve))
    const found = asked.then(() => {
      this.#waiting = null
      return this.#read([...keys.values()])
    })
    return { keys, found }
  }
}
