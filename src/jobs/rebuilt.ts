import type { SnapshotFile } from '../engine/engine.ts'
import type { Database, Transaction } from '../platform/postgres.ts'
import type { Archive } from './archives.ts'
import { notifyEnded } from './channel.ts'
import { forgetFiles } from './content.ts'
import { Fenced } from './publish.ts'

/**
 * Has a version that was lost served again. It is the same version, and nothing of what was said of it changes but where its
 * files are and what their bytes are. False where it was let go meanwhile. Throws Fenced where the epoch is over.
 */
export function publishRebuilt(
  db: Database,
  of: { model: string; version: number; epoch: number; dir: string; files: readonly SnapshotFile[] },
): Promise<boolean> {
  const { model, version, epoch, dir, files } = of
  return db.transaction(async tx => {
    const { engine } = await held(tx, model, epoch)
    const [again] = await tx.query(
      // Which of its rows came last nobody can tell any more: they come out of an archive.
      `UPDATE model_version
          SET epoch = $3, lost = false,
              tables = (SELECT coalesce(jsonb_agg(t.each - 'grownSince' ORDER BY t.place), '[]')
                          FROM jsonb_array_elements(tables) WITH ORDINALITY AS t (each, place))
        WHERE model = $1 AND version = $2 AND lost AND kept RETURNING version`,
      [model, version, epoch],
    )
    if (!again) return false
    await forgetFiles(tx, model, [version])
    await tx.query(
      `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256)
       SELECT $1, $2, $3, f.name, $4 || '/' || f.name, f.bytes, f.sha256
         FROM json_to_recordset($5) AS f (name text, bytes bigint, sha256 text)`,
      [model, version, engine, `file://${dir}`, JSON.stringify(files)],
    )
    // Who waits for it is woken as by a completion.
    await notifyEnded(tx, model)
    return true
  })
}

/**
 * An archive counts as one no longer: where it was the newest, the model is behind again, and archived anew. Throws Fenced where
 * the epoch is over.
 */
export async function markDamaged(db: Database, { model, version }: Archive, epoch: number): Promise<void> {
  await db.transaction(async tx => {
    await held(tx, model, epoch)
    await tx.query(`UPDATE archive SET state = 'DAMAGED' WHERE model = $1 AND version = $2 AND state = 'THERE'`, [
      model,
      version,
    ])
    await tx.query(
      `UPDATE goal_model SET archived_version = (
         SELECT coalesce(max(version), 0) FROM archive WHERE model = $1 AND state = 'THERE') WHERE id = $1`,
      [model],
    )
  })
}

async function held(tx: Transaction, model: string, epoch: number): Promise<{ engine: string }> {
  const [row] = await tx.query<{ engine: string }>(
    'SELECT engine FROM goal_model WHERE id = $1 AND epoch = $2 AND deleted_at IS NULL FOR NO KEY UPDATE',
    [model, epoch],
  )
  if (!row) throw new Fenced(`model ${model} is no longer held by epoch ${epoch}`)
  return row
}
