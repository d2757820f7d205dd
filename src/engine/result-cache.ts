import { LRUCache } from 'lru-cache'

/** All results of a process's readers together. */
const MAX_BYTES = 64 << 20
/** What a value takes besides its text, roughly. */
const VALUE_BYTES = 32

/**
 * Results of reads of immutable versions, the last used of them, within a bound in bytes. Whoever asks for what is being
 * read waits for that; the read is stopped once nobody waits for it any more.
 */
export class ResultCache {
  readonly #kept: LRUCache<string, object>
  readonly #underWay = new Map<string, SharedRead<object>>()

  readonly #isKept: (result: object) => boolean

  /**
   * A result that would take a sixteenth of `maxBytes` is not kept, nor one that `isKept` does not want; none longer than
   * `maxAgeMs`, where that is said. `now` in milliseconds of a monotonic clock.
   */
  constructor({
    maxBytes = MAX_BYTES,
    maxAgeMs = 0,
    isKept = () => true,
    now = () => performance.now(),
  }: { maxBytes?: number; maxAgeMs?: number; isKept?: (result: object) => boolean; now?: () => number } = {}) {
    this.#isKept = isKept
    this.#kept = new LRUCache({
      ttl: maxAgeMs,
      ttlResolution: 0,
      perf: { now },
      maxSize: maxBytes,
      maxEntrySize: Math.floor(maxBytes / 16),
      sizeCalculation: (result, key) => key.length + bytesOf(result),
    })
  }

  /**
   * What belongs to the key, which says the version, too. It is shared: nobody may change it. A read is shared by those who
   * read `from` the same: where it fails, that may be because of what it reads from.
   */
  async get<T extends object>(
    key: string,
    read: (signal: AbortSignal) => Promise<T>,
    signal?: AbortSignal,
    from = '',
  ): Promise<T> {
    signal?.throwIfAborted()
    const found = this.#kept.get(key) ?? (this.#underWay.get(from + key) ?? this.#begin(key, read, from)).wait(signal)
    // Only ever what `read` gave for this key.
    return (await found) as T
  }

  /**
   * The same, for one of very many who ask for it at once: without a signal to listen to, who goes away before it has been
   * read says so himself. `result` is there at once where it is kept.
   */
  join<T extends object>(key: string, read: (signal: AbortSignal) => Promise<T>): Joined<T> {
    const underWay = this.#underWay.get(key)
    const kept = underWay ? undefined : this.#kept.get(key)
    // Only ever what `read` gave for this key.
    if (kept) return { result: kept as T, leave: () => {} }
    return (underWay ?? this.#begin(key, read, '')).join() as Joined<T>
  }

  /** What is kept under the key. */
  peek(key: string): object | undefined {
    return this.#kept.get(key)
  }

  #begin(key: string, read: (signal: AbortSignal) => Promise<object>, from: string): SharedRead<object> {
    const over = () => {
      if (this.#underWay.get(from + key) === shared) this.#underWay.delete(from + key)
    }
    const shared = new SharedRead(async signal => {
      const result = await read(signal)
      // What has been stopped may say so in its result.
      if (!signal.aborted && this.#isKept(result)) this.#kept.set(key, result)
      return result
    }, over)
    this.#underWay.set(from + key, shared)
    return shared
  }
}

/** A part in a read that several wait for. */
export interface Joined<T> {
  readonly result: T | Promise<T>
  /** Not waited for any more; called at most once. */
  leave(): void
}

/** A read that several wait for. */
class SharedRead<T> {
  readonly #result: Promise<T>
  readonly #stop = new AbortController()
  readonly #onOver: () => void
  readonly #joined: Joined<T>
  #waiting = 0
  #isOver = false

  /** `onOver` is called when it has been read, or nobody waits any more and it is stopped: nobody may join then. */
  constructor(read: (signal: AbortSignal) => Promise<T>, onOver: () => void) {
    this.#onOver = onOver
    this.#result = read(this.#stop.signal)
    const over = () => this.#over()
    this.#result.then(over, over)
    this.#joined = { result: this.#result, leave: () => this.#leave() }
  }

  join(): Joined<T> {
    this.#waiting += 1
    return this.#joined
  }

  #leave(reason?: unknown): void {
    this.#waiting -= 1
    if (this.#waiting > 0 || this.#isOver) return
    this.#over()
    this.#stop.abort(reason)
  }

  #over(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#onOver()
  }

  async wait(signal?: AbortSignal): Promise<T> {
    const { result } = this.join()
    if (!signal) return result
    const gone = Promise.withResolvers<never>()
    const leave = () => gone.reject(signal.reason)
    signal.addEventListener('abort', leave, { once: true })
    try {
      return await Promise.race([result, gone.promise])
    } finally {
      signal.removeEventListener('abort', leave)
      this.#leave(signal.reason)
      // When the last one has gone, nothing of it is left at work.
      if (this.#waiting === 0) await this.#result.catch(() => {})
    }
  }
}

function bytesOf(value: unknown): number {
  if (typeof value === 'string') return VALUE_BYTES + value.length
  if (typeof value !== 'object' || value === null) return VALUE_BYTES
  return Object.values(value).reduce((sum: number, part) => sum + bytesOf(part), VALUE_BYTES)
}
