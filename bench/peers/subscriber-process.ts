import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { stop } from '../processes.ts'
import type { SubscribersOrder, Told, Whole } from './subscribers.ts'

/** The process that holds the subscriptions, as its parent sees it. */
export class SubscriberProcess implements AsyncDisposable {
  readonly process: ChildProcess = fork(new URL('subscribers.ts', import.meta.url))
  /** Called for each completion that has come to all who subscribe to it. */
  onWhole: () => void = () => {}
  readonly #failed: Promise<never>

  constructor() {
    this.process.on('message', (message: object) => {
      if ('whole' in (message as Whole)) this.onWhole()
    })
    this.#failed = once(this.process, 'exit').then(() => {
      throw new Error('the subscribers have ended')
    })
    this.#failed.catch(() => {})
  }

  async open(order: Extract<SubscribersOrder, { open: number }>): Promise<void> {
    await this.#order(order, 'opened')
  }

  /** What has come since the last time. */
  async tell(): Promise<Told> {
    return (await this.#order({ tell: true }, 'messages')) as Told
  }

  async #order(order: SubscribersOrder, answeredBy: string): Promise<unknown> {
    const { promise, resolve } = Promise.withResolvers<unknown>()
    const onMessage = (message: object) => {
      if (answeredBy in message) resolve(message)
    }
    this.process.on('message', onMessage)
    this.process.send(order)
    try {
      return await this.orFail(promise)
    } finally {
      this.process.off('message', onMessage)
    }
  }

  /** The promise, or a failure where the subscribers have gone before it settles. */
  orFail<T>(promise: Promise<T>): Promise<T> {
    return Promise.race([promise, this.#failed])
  }

  [Symbol.asyncDispose](): Promise<void> {
    return stop(this.process)
  }
}
