import { comesTrue } from '../../support/comes-true.ts'
import { followLog, type LogFollower } from '../../support/log-followers.ts'
import type { Answer } from '../../support/platform.ts'
import type { Deployment } from './deployment.ts'
import type { LogRow, ModelOf } from './history.ts'
import { pick, type Random } from './operations.ts'
import type { Recorder } from './recorder.ts'
import { ask } from './requests.ts'

/** Follow the logs of all models from their start, each over both transports, on whichever server it comes to, and note down every page. */
export class Subscribers implements Disposable {
  readonly #followers: { model: string; follower: LogFollower }[] = []
  readonly #deployment: Deployment
  readonly #recorder: Recorder
  readonly #random: Random

  constructor(deployment: Deployment, recorder: Recorder, random: Random) {
    this.#deployment = deployment
    this.#recorder = recorder
    this.#random = random
  }

  async follow(model: ModelOf): Promise<void> {
    const { nodes } = this.#deployment
    const random = this.#random
    const text = 'query ($id: ID!) { model(id: $id) { snapshot { cursor } } }'
    const { data } = await ask(`${nodes[0]?.url}`, text, { id: model.id }, 30_000)
    for (const transport of ['websocket', 'events'] as const) {
      const follower = followLog(transport, {
        url: () => pick(random, nodes).url,
        model: model.id,
        after: data.model.snapshot.cursor,
        pageSize: pick(random, [5, 50, 500]),
        onPage: page => page && this.#note(`${transport} of ${model.id}`, model.id, page),
      })
      this.#followers.push({ model: model.id, follower })
    }
  }

  #note(subscriber: string, model: string, page: Answer): void {
    this.#recorder.told.push({
      subscriber,
      model,
      at: this.#recorder.now(),
      entries: page.edges.map(({ node: { id, status, version } }: Answer) => ({
        id,
        status,
        version: version ?? null,
      })),
      snapshot: page.snapshot?.version ?? null,
      reset: page.reset,
    })
  }

  /** Waits until all have been told of the whole log, or no more comes. */
  async toldAll(log: readonly LogRow[], ms: number): Promise<void> {
    await Promise.all(
      this.#followers.map(({ model, follower }) => {
        const { length } = log.filter(row => row.model === model)
        return comesTrue(async () => follower.seen.length >= length, ms)
      }),
    )
  }

  [Symbol.dispose](): void {
    for (const { follower } of this.#followers) follower[Symbol.dispose]()
  }
}
