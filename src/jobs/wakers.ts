/** Those who wait for news of something, by what it is: a model, an intent. */
export class Wakers {
  readonly #places = new Map<string, Set<() => void>>()

  /** What somebody waits for. */
  get keys(): readonly string[] {
    return [...this.#places.keys()]
  }

  add(key: string, wake: () => void): void {
    const place = this.#places.get(key) ?? new Set()
    this.#places.set(key, place.add(wake))
  }

  /** The same until the answer is disposed of. */
  adding(key: string, wake: () => void): Disposable {
    this.add(key, wake)
    return { [Symbol.dispose]: () => this.remove(key, wake) }
  }

  remove(key: string, wake: () => void): void {
    const place = this.#places.get(key)
    place?.delete(wake)
    if (place?.size === 0) this.#places.delete(key)
  }

  wake(key: string): void {
    for (const wake of this.#places.get(key) ?? []) wake()
  }
}

/** A waker at each of the places, registered from now on: what happens between two waits wakes the second at once. */
export function waking(places: readonly (readonly [Wakers, string])[], signal?: AbortSignal) {
  let pending = false
  let resolve: (() => void) | null = null
  const wake = () => {
    pending = true
    resolve?.()
  }
  for (const [wakers, key] of places) wakers.add(key, wake)
  signal?.addEventListener('abort', wake)
  return {
    /** Settles when woken, or after so many milliseconds. One wait at a time. */
    async woken(ms?: number): Promise<void> {
      if (!pending) {
        const { promise, resolve: done } = Promise.withResolvers<void>()
        resolve = done
        const timer = ms === undefined ? undefined : setTimeout(done, ms)
        await promise
        clearTimeout(timer)
        resolve = null
      }
      pending = false
    },
    [Symbol.dispose]: () => {
      signal?.removeEventListener('abort', wake)
      for (const [wakers, key] of places) wakers.remove(key, wake)
    },
  }
}
