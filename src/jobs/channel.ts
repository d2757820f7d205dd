import { type Database, type Queryable, UNHURRIED } from '../platform/postgres.ts'

/**
 * The one NOTIFY channel of the platform. Notices are hints to look at tables that hold the truth: whoever listens
 * must be right without them, only later.
 *
 *   work MODEL        intents wait in the model's line
 *   query MODEL       query runs of the model wait
 *   ended MODEL AT    the model's log, and perhaps its version or its files, went on: its newest position is AT
 *   changed INTENT    a function or import was begun, or is at another step
 *   model MODEL       made, changed, deleted, blocked, archived, got or lost its manager; who follows models looks at any notice of one
 */
export type Notice =
  | { is: 'work' | 'query' | 'model'; model: string }
  | { is: 'ended'; model: string; position: bigint }
  | { is: 'changed'; intent: string }

const CHANNEL = 'teatree'

const send = async (tx: Queryable, payload: string): Promise<void> => {
  await tx.query(`SELECT pg_notify('${CHANNEL}', $1)`, [payload])
}
export const notifyWork = (tx: Queryable, model: string) => send(tx, `work ${model}`)
export const notifyQuery = (tx: Queryable, model: string) => send(tx, `query ${model}`)
/** The caller holds the model's row. */
export async function notifyEnded(tx: Queryable, model: string): Promise<void> {
  await tx.query(
    `SELECT pg_notify('${CHANNEL}', concat_ws(' ', 'ended', id, completions)) FROM goal_model WHERE id = $1`,
    [model],
  )
}
export const notifyModel = (tx: Queryable, model: string) => send(tx, `model ${model}`)
/** With what it tells of, where that is in the same transaction, it is a courtesy: nobody waits until it is on disk. */
export async function notifyChanged(tx: Queryable, intent: string): Promise<void> {
  await tx.query(`SELECT ${UNHURRIED}, pg_notify('${CHANNEL}', $1)`, [`changed ${intent}`])
}

/** Calls back for each notice, and `onGap` whenever some may have been missed. Answers with the way to stop. */
export function listenForNotices(
  db: Database,
  onNotice: (notice: Notice) => void,
  onGap: () => void,
): Promise<() => void> {
  return db.listen(
    CHANNEL,
    payload => {
      const [is, id, position] = payload.split(' ')
      if (id === undefined) return
      if (is === 'changed') onNotice({ is, intent: id })
      else if (is === 'ended' && position !== undefined) onNotice({ is, model: id, position: BigInt(position) })
      else if (is === 'work' || is === 'query' || is === 'model') onNotice({ is, model: id })
    },
    onGap,
  )
}
