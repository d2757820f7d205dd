import type { Queryable, Transaction } from '../platform/postgres.ts'
import { notifyEnded } from './channel.ts'
import { columns, type Intent } from './records.ts'

/** Cancels intents, with their completions. `condition` is over `intent`; $1 is the model. */
export async function cancelIntents(
  tx: Transaction,
  model: string,
  condition: string,
  values: readonly unknown[] = [],
): Promise<Intent[]> {
  // The model's row first, as everywhere: who publishes holds it too, so positions in the log have no gap.
  await tx.query('SELECT FROM goal_model WHERE id = $1 FOR NO KEY UPDATE', [model])
  const ended = await tx.query<Intent>(
    `UPDATE intent i SET status = 'CANCELLED', ended_at = clock_timestamp() WHERE model = $1 AND ${condition}
     RETURNING ${columns.intent('i')}`,
    [model, ...values],
  )
  ended.sort((a, b) => (a.seq < b.seq ? -1 : 1))
  await logCompletions(
    tx,
    model,
    ended.map(intent => intent.id),
  )
  await notifyEnded(tx, model)
  return ended
}

/**
 * Appends intents, or query runs, to the model's log, in the order given. The caller holds the model's row. Answers with
 * the newest position.
 */
export async function logCompletions(
  tx: Queryable,
  model: string,
  ended: readonly string[],
  are: 'intent' | 'query_run' = 'intent',
): Promise<bigint> {
  const [row] = await tx.query<{ completions: bigint }>(
    `WITH log AS (UPDATE goal_model SET completions = completions + cardinality($2::uuid[]) WHERE id = $1 RETURNING completions),
     entries AS (
       INSERT INTO completion (model, position, ${are})
       SELECT $1, log.completions - cardinality($2::uuid[]) + ended.place, ended.id
         FROM log, unnest($2::uuid[]) WITH ORDINALITY AS ended (id, place))
     SELECT completions FROM log`,
    [model, ended],
  )
  return row?.completions ?? 0n
}
