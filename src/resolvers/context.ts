import type { ManagerState } from '../jobs/models.ts'
import type { Model } from '../jobs/records.ts'
import type { Services } from '../jobs/services.ts'
import type { OpenSnapshot } from '../jobs/snapshots.ts'
import type { Row, Value } from '../kinds/types.ts'
import { AnswerBudget } from './answer-budget.ts'
import { Cursors } from './cursors.ts'
import { KeyLoader } from './key-loader.ts'
import { Reading } from './reading.ts'

/** Who asks. */
export interface User {
  /** Written down with the intents that they submit. */
  id: string
}

/**
 * What an operation brings to its resolvers. The server makes one for each, and for each event of a subscription, and
 * releases it when that has been executed.
 */
export interface OperationContext {
  readonly services: Services
  readonly cursors: Cursors
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  readonly user: User | null
  /** Where one goes on who comes back to a stream of events, whatever the document says: the id of the last that was seen. */
  readonly lastEventId: string | null
  /** What is read is charged to it. */
  readonly budget: AnswerBudget
  /** What of models is read for the answer. */
  readonly reading: Reading
  /** Keeps a version open until the operation has been executed. */
  hold(snapshot: OpenSnapshot): OpenSnapshot
  /** The operation has ended: what is held is released, and so is whatever comes later. */
  release(): void
  readonly models: KeyLoader<string, Model>
  readonly managers: KeyLoader<string, ManagerState>
  /** Rows by key, gathered by `place`, which names version, table and columns. */
  rowsByKey(place: string, read: (keys: readonly (readonly Value[])[]) => Promise<ReadonlyMap<string, Row>>): RowLoader
}
export type RowLoader = KeyLoader<readonly Value[], Row>

/** What tells the keys of rows apart. */
export const keyName = (key: readonly Value[]): string => JSON.stringify(key)

export function createContext(
  services: Services,
  { signal, user = null, lastEventId = null }: { signal: AbortSignal; user?: User | null; lastEventId?: string | null },
): OperationContext {
  const held: OpenSnapshot[] = []
  const rows = new Map<string, RowLoader>()
  let ended = false
  const byId = <T extends { id: string }>(found: readonly T[]) => new Map(found.map(one => [one.id, one]))
  return {
    services,
    cursors: new Cursors(services.signatures),
    signal,
    user,
    lastEventId,
    budget: new AnswerBudget(),
    reading: new Reading(services.snapshots),
    hold(snapshot) {
      // A field may still be opening a version when an error of its neighbour has ended the operation.
      if (ended) snapshot.release()
      else held.push(snapshot)
      return snapshot
    },
    release() {
      for (const snapshot of held.splice(0)) snapshot.release()
      rows.clear()
      ended = true
    },
    models: new KeyLoader(
      async ids => byId(await services.models.find(ids)),
      id => id,
    ),
    managers: new KeyLoader(
      async ids => byId(await services.models.managers(ids)),
      id => id,
    ),
    rowsByKey(place, read) {
      const there = rows.get(place) ?? new KeyLoader(read, keyName)
      rows.set(place, there)
      return there
    },
  }
}
