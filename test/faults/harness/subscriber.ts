import { followLog, type LogFollower, type Transport } from '../../support/log-followers.ts'
import type { Answer } from '../../support/platform.ts'
import type { ModelOf } from './history.ts'
import type { Recorder } from './recorder.ts'

/** Follows a model's log over one server or the other, whichever it comes to, and notes down each page that it is told. */
export function subscribe(of: {
  name: string
  transport: Transport
  pageSize: number
  model: ModelOf
  after: string
  recorder: Recorder
  url: () => string
}): LogFollower {
  const { name: subscriber, transport, model, recorder, ...rest } = of
  return followLog(transport, {
    ...rest,
    model: model.id,
    onPage(page: Answer) {
      if (!page) return
      recorder.told.push({
        subscriber,
        model: model.id,
        at: recorder.now(),
        entries: page.edges.map(({ node }: Answer) => ({
          id: node.id,
          status: node.status,
          version: node.version ?? null,
        })),
        snapshot: page.snapshot?.version ?? null,
        reset: page.reset,
      })
    },
  })
}
