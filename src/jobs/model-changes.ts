import type { Completions } from './completions.ts'
import { type ModelQuestion, ModelSource } from './model-source.ts'
import type { Models } from './models.ts'
import type { Model } from './records.ts'
import { waking } from './wakers.ts'

/** Models that changed. They are shared: nobody may change them. */
export interface ModelNews {
  /** The same for the same news, told within the same few seconds. */
  key: string
  models: readonly Model[]
}

interface Deps {
  models: Pick<Models, 'list' | 'managers'>
  completions: Pick<Completions, 'onNotice'>
}

/**
 * What becomes of models, for those who follow it. Those who ask the same have one source, which looks for all of them and
 * numbers what it finds; each is told of what is newer than the number that it has seen. So one that joins late is told of
 * all models, and one that is slow of what changed meanwhile, once.
 *
 *   notice of a model, or 5 s gone ─▶ source looks ─▶ what changed gets its next number ─▶ followers wake
 */
export class ModelChanges {
  readonly #deps: Deps
  readonly #sources = new Map<string, ModelSource>()
  #begun = 0

  constructor(deps: Deps) {
    this.#deps = deps
  }

  /**
   * The models that the filter selects, all of them at the start (perhaps none), then those that changed. With
   * `filter.ids` it ends when none of them is there any more; otherwise with the signal.
   */
  async *follow(question: ModelQuestion, signal: AbortSignal): AsyncGenerator<ModelNews, void> {
    const source = this.#sourceOf(question)
    using _ = source.join()
    using waker = waking([[source.followers, source.id]], signal)
    let seen = 0
    while (!signal.aborted) {
      if (source.fault) throw source.fault
      const { number, id, looks } = source
      if (number > seen) {
        const models = source.since(seen)
        if (seen === 0 || models.length > 0) yield { key: `${id} ${looks} ${seen} ${number}`, models }
        if (question.filter.ids && source.isEmpty) return
        seen = number
        await source.pause(signal)
      }
      if (source.number === seen) await waker.woken()
    }
  }

  #sourceOf({ filter, intervalMs }: ModelQuestion): ModelSource {
    const ids = filter.ids ? [...new Set(filter.ids)].sort() : null
    const key = JSON.stringify([ids, filter.kind, filter.engine, filter.nameLike, intervalMs])
    const there = this.#sources.get(key)
    if (there) return there
    const source: ModelSource = new ModelSource(`models ${++this.#begun}`, this.#deps, {
      filter,
      intervalMs,
      onOver: () => {
        if (this.#sources.get(key) === source) this.#sources.delete(key)
      },
    })
    this.#sources.set(key, source)
    return source
  }
}
