import type { ModelFilter, ModelPosition } from '../jobs/models.ts'
import { throughOutages } from '../jobs/outages.ts'
import type { Model } from '../jobs/records.ts'
import type { Services } from '../jobs/services.ts'
import { pause } from './waits.ts'

/** A notice that was lost costs at most this. */
const POLL_MS = 5000
const CHUNK = 1000

/**
 * The models that the filter selects, all of them at the start (perhaps none), then those that changed, at most once in
 * `intervalMs`. A notice about a model tells of a change; what is not noticed is found by looking now and then. With
 * `filter.ids` it ends when none of them is there any more.
 */
export async function* followModels(
  services: Pick<Services, 'models' | 'completions'>,
  { filter, intervalMs, signal }: { filter: ModelFilter; intervalMs: number; signal: AbortSignal },
): AsyncGenerator<Model[]> {
  const noticed = new Set<string>()
  let wake = new AbortController()
  const wanted = filter.ids ? new Set(filter.ids) : null
  const stopListening = services.completions.onNotice(notice => {
    if (notice.is === 'changed' || wanted?.has(notice.model) === false) return
    noticed.add(notice.model)
    wake.abort()
  })
  try {
    const seen = new Map<string, string>()
    let lookedAt = Number.NEGATIVE_INFINITY
    for (let first = true; !signal.aborted; first = false) {
      wake = new AbortController()
      const changed = new Set(noticed)
      noticed.clear()
      const lookAtAll = performance.now() - lookedAt >= POLL_MS
      if (lookAtAll) lookedAt = performance.now()
      const there = await throughOutages(
        () => list(services, lookAtAll ? filter : { ...filter, ids: [...changed] }),
        signal,
      )
      const gone = lookAtAll ? [...seen.keys()] : [...changed]
      const news = there.filter(model => changed.has(model.id) || seen.get(model.id) !== stateOf(model))
      for (const id of gone) seen.delete(id)
      for (const model of there) seen.set(model.id, stateOf(model))
      if (first || news.length > 0) yield news
      if (wanted && seen.size === 0 && !first) return
      await pause(intervalMs, signal)
      if (noticed.size === 0) await pause(POLL_MS, signal, wake.signal)
    }
  } finally {
    stopListening()
  }
}

/** What may change of a model without a notice. */
const stateOf = ({ name, size, epoch, version, completions, archivedVersion, blocked, retryAt }: Model): string =>
  JSON.stringify([name, size, epoch, version, String(completions), archivedVersion, blocked, retryAt])

async function list({ models }: Pick<Services, 'models'>, filter: ModelFilter): Promise<Model[]> {
  const found: Model[] = []
  let after: ModelPosition | undefined
  for (;;) {
    const chunk = await models.list(filter, { limit: CHUNK, ...(after && { after }) })
    found.push(...chunk)
    after = chunk.at(-1)
    if (chunk.length < CHUNK) return found
  }
}
