import { setTimeout as wait } from 'node:timers/promises'
import type { Completions } from './completions.ts'
import type { ManagerState, ModelFilter, ModelPosition, Models } from './models.ts'
import { throughOutages } from './outages.ts'
import type { Model } from './records.ts'
import { Wakers, waking } from './wakers.ts'

/** What is not noticed is found within this. */
const POLL_MS = 5000
const CHUNK = 1000

export interface ModelQuestion {
  filter: ModelFilter
  /** At least so long between two looks, and between two values. */
  intervalMs: number
}

interface Deps {
  models: Pick<Models, 'list' | 'managers'>
  completions: Pick<Completions, 'onNotice'>
}

/** Looks at models for all who ask the same, from the first that joins until the last has left. */
export class ModelSource {
  readonly id: string
  /** Those who wait for the next number, under its id. */
  readonly followers = new Wakers()
  readonly #deps: Deps
  readonly #question: ModelQuestion & { onOver: () => void }
  readonly #models = new Map<string, { model: Model; state: string; number: number }>()
  readonly #noticed = new Set<string>()
  readonly #notices = new Wakers()
  readonly #left = new AbortController()
  #joined = 0
  #number = 0
  #looks = 0
  #fault: unknown

  /** `onOver` is called when nobody may join any more. */
  constructor(id: string, deps: Deps, question: ModelQuestion & { onOver: () => void }) {
    this.id = id
    this.#deps = deps
    this.#question = question
  }

  /** Of the newest change; 0 before the first look. */
  get number(): number {
    return this.#number
  }
  /** Counts the looks at all models. */
  get looks(): number {
    return this.#looks
  }
  get isEmpty(): boolean {
    return this.#models.size === 0
  }
  /** Why it has ended. */
  get fault(): unknown {
    return this.#fault
  }

  /** Those that changed after this number, in the order of their making. */
  since(number: number): Model[] {
    return [...this.#models.values()].filter(each => each.number > number).map(({ model }) => model)
  }

  /** Until it is disposed of. */
  join(): Disposable {
    this.#joined += 1
    if (this.#joined === 1) void this.#run()
    return {
      [Symbol.dispose]: () => {
        this.#joined -= 1
        if (this.#joined > 0) return
        this.#left.abort()
        this.#question.onOver()
      },
    }
  }

  async pause(signal: AbortSignal): Promise<void> {
    await wait(this.#question.intervalMs, undefined, { signal }).catch(() => {})
  }

  async #run(): Promise<void> {
    const { signal } = this.#left
    const wanted = this.#question.filter.ids && new Set(this.#question.filter.ids)
    const stopListening = this.#deps.completions.onNotice(notice => {
      if (notice.is === 'changed' || wanted?.has(notice.model) === false) return
      this.#noticed.add(notice.model)
      this.#notices.wake(this.id)
    })
    using waker = waking([[this.#notices, this.id]], signal)
    try {
      for (let lookedAt = Number.NEGATIVE_INFINITY; !signal.aborted; ) {
        const isDue = performance.now() - lookedAt >= POLL_MS
        if (isDue) lookedAt = performance.now()
        await this.#look(isDue, signal)
        await this.pause(signal)
        await waker.woken(POLL_MS)
      }
    } catch (error) {
      this.#fault = error
      this.#question.onOver()
    } finally {
      stopListening()
      this.followers.wake(this.id)
    }
  }

  /** At all models, or at those that were noticed. */
  async #look(atAll: boolean, signal: AbortSignal): Promise<void> {
    const noticed = new Set(this.#noticed)
    this.#noticed.clear()
    if (!atAll && noticed.size === 0) return
    const { filter } = this.#question
    const { models, managers } = await throughOutages(async () => {
      const models = await this.#list(atAll ? filter : { ...filter, ids: [...noticed] })
      return { models, managers: await this.#deps.models.managers(models.map(({ id }) => id)) }
    }, signal)
    if (atAll) this.#looks += 1
    const states = new Map(managers.map(manager => [manager.id, manager]))
    const there = new Set(models.map(({ id }) => id))
    const gone = (atAll ? [...this.#models.keys()] : [...noticed]).filter(id => !there.has(id))
    const number = this.#number + 1
    let isNews = this.#number === 0
    for (const id of gone) isNews = this.#models.delete(id) || isNews
    for (const model of models) {
      const state = stateOf(model, states.get(model.id))
      if (!noticed.has(model.id) && this.#models.get(model.id)?.state === state) continue
      this.#models.set(model.id, { model, state, number })
      isNews = true
    }
    if (!isNews) return
    this.#number = number
    this.followers.wake(this.id)
  }

  async #list(filter: ModelFilter): Promise<Model[]> {
    const found: Model[] = []
    let after: ModelPosition | undefined
    for (;;) {
      const chunk = await this.#deps.models.list(filter, { limit: CHUNK, ...(after && { after }) })
      found.push(...chunk)
      after = chunk.at(-1)
      if (chunk.length < CHUNK) return found
    }
  }
}

/** What may change of a model, and of what its manager does, without a notice. */
const stateOf = ({ name, size, version, completions, archivedVersion }: Model, manager?: ManagerState): string =>
  JSON.stringify([name, size, version, String(completions), archivedVersion, manager])
