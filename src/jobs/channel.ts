import type { Database, Queryable } from '../platform/postgres.ts'

/**
 * The one NOTIFY channel of the platform. Notices are hints to look at tables that hold the truth: whoever listens
 * must be right without them, only later.
 *
 *   work MODEL        intents wait in the model's line
 *   query MODEL       query runs of the model wait
 *   ended MODEL       the model's log, and perhaps its version, went on
 *   changed INTENT    a function or import was begun, or is at another step
 *   model MODEL       made, changed, deleted, blocked, archived, got or lost its manager
 */
export type Notice = { is: 'work' | 'query' | 'ended' | 'model'; model: string } | { is: 'changed'; intent: string }

const CHANNEL = 'teatree'

const send = async (tx: Queryable, payload: string): Promise<void> => {
  await tx.query(`SELECT pg_notify('${CHANNEL}', $1)`, [payload])
}
export const notifyWork = (tx: Queryable, model: string) => send(tx, `work ${model}`)
export const notifyQuery = (tx: Queryable, model: string) => send(tx, `query ${model}`)
export const notifyEnded = (tx: Queryable, model: string) => send(tx, `ended ${model}`)
export const notifyModel = (tx: Queryable, model: string) => send(tx, `model ${model}`)
export const notifyChanged = (tx: Queryable, intent: string) => send(tx, `changed ${intent}`)

/** Calls back for each notice, and `onGap` whenever some may have been missed. Answers with the way to stop. */
export function listenForNotices(
  db: Database,
  onNotice: (notice: Notice) => void,
  onGap: () => void,
): Promise<() => void> {
  return db.listen(
    CHANNEL,
    payload => {
      const [is, id] = payload.split(' ')
      if (id === undefined) return
      if (is === 'changed') onNotice({ is, intent: id })
      else if (is === 'work' || is === 'query' || is === 'ended' || is === 'model') onNotice({ is, model: id })
    },
    onGap,
  )
}
