import { TeatreeError } from '../platform/errors.ts'
import type { Transaction } from '../platform/postgres.ts'
import { noModel } from './ledger.ts'

const MAX_READS = 100

/**
 * Says which models a model reads: they must be there, and reading must not go in a circle, or a version would start
 * itself for ever. NOT_FOUND, BAD_VALUE.
 */
export async function setReads(tx: Transaction, id: string, reads: readonly string[]): Promise<void> {
  const wanted = [...new Set(reads)]
  if (wanted.length > MAX_READS) throw new TeatreeError('BAD_VALUE', `reads: at most ${MAX_READS} models.`)
  // One at a time, so that two updates cannot close a circle that neither of them sees.
  await tx.query(`SELECT pg_advisory_xact_lock(hashtext('teatree model_read'))`)
  // KEY SHARE holds off who deletes one of them, and nobody who publishes: he may be waiting for the row of this model.
  const there = await tx.query<{ id: string }>(
    'SELECT id FROM goal_model WHERE id = ANY($1) AND deleted_at IS NULL FOR KEY SHARE',
    [wanted],
  )
  const missing = wanted.find(read => !there.some(model => model.id === read))
  if (missing !== undefined) throw noModel(missing)
  const [circle] = await tx.query<{ id: string }>(
    `WITH RECURSIVE below (id) AS (
       SELECT unnest($2::text[]) UNION SELECT r.reads FROM model_read r JOIN below ON r.model = below.id)
     SELECT id FROM below WHERE id = $1`,
    [id, wanted],
  )
  if (circle) throw new TeatreeError('BAD_VALUE', `reads: model ${id} would read itself, directly or through others.`)
  await tx.query('DELETE FROM model_read WHERE model = $1 AND NOT reads = ANY($2)', [id, wanted])
  await tx.query('INSERT INTO model_read (model, reads) SELECT $1, unnest($2::text[]) ON CONFLICT DO NOTHING', [
    id,
    wanted,
  ])
}
