import { TeatreeError } from '../platform/errors.ts'
import type { Queryable } from '../platform/postgres.ts'

const MAX_LABEL = 200

/** Keeps a version, and its files, until its labels are released. SNAPSHOT_NOT_YET, SNAPSHOT_GONE, BAD_VALUE. */
export async function pinVersion(db: Queryable, model: string, version: number, label: string): Promise<void> {
  if (label.trim() === '' || label.length > MAX_LABEL || label.includes('\0'))
    throw new TeatreeError('BAD_VALUE', `label: 1 to ${MAX_LABEL} characters.`)
  if (version < 0)
    throw new TeatreeError('BAD_VALUE', `version: there is no version ${version}; versions count from 0.`)
  // In one statement, so that what is published meanwhile is either pinned or not there yet.
  const [found] = await db.query<{ newest: number; pinned: boolean }>(
    `WITH kept AS (SELECT model, version FROM model_version WHERE model = $1 AND version = $2 AND kept FOR SHARE),
          pinned AS (
            INSERT INTO version_pin (model, version, label) SELECT model, version, $3 FROM kept
            ON CONFLICT (model, version, label) DO UPDATE SET label = excluded.label RETURNING label)
     SELECT m.version AS newest, EXISTS (SELECT FROM pinned) AS pinned FROM goal_model m WHERE m.id = $1`,
    [model, version, label],
  )
  if (found?.pinned) return
  if (found && version > found.newest)
    throw new TeatreeError('SNAPSHOT_NOT_YET', `Model ${model} has no version ${version} yet; wait and ask again.`)
  throw new TeatreeError('SNAPSHOT_GONE', `Version ${version} of model ${model} is not kept.`)
}

/** Takes a label off a version, or all of them; one that nothing else keeps goes when somebody next looks for such. */
export async function releaseVersion(
  db: Queryable,
  model: string,
  version: number,
  label: string | null,
): Promise<void> {
  await db.query('DELETE FROM version_pin WHERE model = $1 AND version = $2 AND ($3::text IS NULL OR label = $3)', [
    model,
    version,
    label,
  ])
}
