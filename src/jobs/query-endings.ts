import type { ResultColumn } from '../engine/engine.ts'
import type { Transaction } from '../platform/postgres.ts'
import { notifyEnded } from './channel.ts'
import { logCompletions } from './completion-log.ts'
import type { IntentError } from './records.ts'

/** What became of a query run. */
export type QueryEnding =
  | { state: 'DONE'; columns: readonly ResultColumn[]; rows: number; keptSeconds: number }
  | { state: 'FAILED'; error: IntentError }
  | { state: 'CANCELLED' }

/**
 * Ends runs of a model that have not ended, with their completions; answers with their ids. `condition` is over
 * `query_run q`; $1 is the model.
 */
export async function endRuns(
  tx: Transaction,
  model: string,
  ending: QueryEnding,
  condition: string,
  values: readonly unknown[] = [],
): Promise<string[]> {
  // The model's row first, as everywhere: who publishes holds it too, so positions in the log have no gap.
  await tx.query('SELECT FROM goal_model WHERE id = $1 FOR NO KEY UPDATE', [model])
  const done = ending.state === 'DONE' ? ending : null
  const at = (index: number) => `$${2 + values.length + index}`
  const ended = await tx.query<{ id: string }>(
    `UPDATE query_run q SET state = ${at(0)}, error = ${at(1)}, columns = ${at(2)}, row_count = ${at(3)}, ended_at = now.at,
            expires_at = now.at + make_interval(secs => ${at(4)}), held_until = NULL, retry_at = NULL
       FROM (SELECT clock_timestamp() AS at) now
      WHERE q.model = $1 AND q.ended_at IS NULL AND ${condition} RETURNING q.id`,
    [
      model,
      ...values,
      ending.state,
      ending.state === 'FAILED' ? JSON.stringify(ending.error) : null,
      done ? JSON.stringify(done.columns) : null,
      done?.rows ?? null,
      done?.keptSeconds ?? null,
    ],
  )
  const ids = ended.map(({ id }) => id)
  if (ids.length === 0) return ids
  await tx.query('DELETE FROM query_run_read WHERE query_run = ANY($1)', [ids])
  await logCompletions(tx, model, ids, 'query_run')
  await notifyEnded(tx, model)
  return ids
}
