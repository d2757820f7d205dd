import type { ExecutionResult } from 'graphql'
import type { Delivery } from './deliveries.ts'

interface Parts {
  /** The events, as the resolver has them; it ends where the signal of `over` aborts. */
  source: AsyncIterator<unknown>
  execute(event: unknown): Delivery
  /** Aborted once it is over. */
  over: AbortController
}

/**
 * One that is subscribed, and what it is told. Very many are told of the same: what is done for each of them alone, between
 * an event and its being sent, is done here, and there is little of it.
 *
 *   event ─▶ executed, once for all ─▶ result ─▶ pulled by who reads (`results`), or sent (`send`); then the next one
 */
export class Subscription {
  readonly #source: AsyncIterator<unknown>
  readonly #execute: (event: unknown) => Delivery
  readonly #over: AbortController
  #delivery: Delivery | null = null

  constructor({ source, execute, over }: Parts) {
    this.#source = source
    this.#execute = execute
    this.#over = over
    over.signal.addEventListener('abort', () => this.#ended(), { once: true })
  }

  /** The results, one for each time that one is asked for. */
  results(): AsyncIterableIterator<ExecutionResult, void> {
    return this.#iterator(async () => {
      const result = await this.#next()
      return result ? { done: false, value: result } : DONE
    })
  }

  /** Nothing, and then the end: the results are sent, each when the one before is out. `send` answers where that takes time. */
  sent(send: (result: ExecutionResult) => Promise<void> | undefined): AsyncIterableIterator<never, void> {
    return this.#iterator<never>(async () => {
      for (let result = await this.#next(); result; result = await this.#next()) {
        const out = send(result)
        if (out) await out
      }
      return DONE
    })
  }

  /** The next result; null where there is none any more. */
  async #next(): Promise<ExecutionResult | null> {
    try {
      const { done, value: event } = await this.#source.next()
      if (!done && !this.#over.signal.aborted) {
        this.#delivery = this.#execute(event)
        const { result } = this.#delivery
        const executed = result instanceof Promise ? await result : result
        this.#delivery = null
        // What was executed after the client had gone may be an error of that, which nobody should see.
        if (!this.#over.signal.aborted) return executed
      }
    } catch (error) {
      if (!this.#over.signal.aborted) {
        this.#over.abort(OVER)
        throw error
      }
    }
    this.#over.abort(OVER)
    return null
  }

  #ended(): void {
    this.#delivery?.leave()
    this.#delivery = null
    // What it waits for ends with the signal.
    this.#source.return?.()?.catch(() => {})
  }

  #iterator<T>(next: () => Promise<IteratorResult<T, void>>): AsyncIterableIterator<T, void> {
    return {
      next,
      return: async () => {
        this.#over.abort(OVER)
        return DONE
      },
      [Symbol.asyncIterator]() {
        return this
      },
    }
  }
}

/** Made once, since an error that is made takes longer than all that is done with it. */
export const OVER = new DOMException('The subscription is over.', 'AbortError')

const DONE: IteratorReturnResult<void> = { done: true, value: undefined }
