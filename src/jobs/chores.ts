import type { Queryable } from '../platform/postgres.ts'

/*
 * What a model's manager has to see to besides its line and its newest archive. The dispatcher looks for models that need
 * a manager for it, and a manager for those among the ones that it holds.
 */

/** SQL: the model has versions whose files have to be made again. */
export const hasLost = (model: string): string =>
  `EXISTS (SELECT FROM model_version l WHERE l.model = ${model} AND l.lost AND l.kept)`

/** SQL: the version is pinned, there to be read, and has no archive of its own. Without `version`: there is such a one. */
export const hasUnarchivedPin = (model: string, version = 'p.version'): string =>
  `EXISTS (SELECT FROM version_pin p JOIN model_version w ON w.model = p.model AND w.version = p.version
            WHERE p.model = ${model} AND p.version = ${version} AND p.version > 0 AND w.kept AND NOT w.lost
              AND NOT EXISTS (SELECT FROM archive a WHERE a.model = p.model AND a.version = p.version AND a.state <> 'DAMAGED'))`

/** SQL: intents wait in the model's line. What runs already has somebody who knows of it. */
const hasWaiting = (model: string): string =>
  `EXISTS (SELECT FROM intent i WHERE i.model = ${model} AND i.status = 'QUEUED')`

/** Which of these models have intents that wait, which lost versions, and which pinned ones without an archive. */
export function findChores(
  db: Queryable,
  models: readonly string[],
): Promise<{ model: string; waits: boolean; lost: boolean; pinned: boolean }[]> {
  return db.query(
    `SELECT m.id AS model, ${hasWaiting('m.id')} AS waits, ${hasLost('m.id')} AS lost, ${hasUnarchivedPin('m.id')} AS pinned
       FROM goal_model m
      WHERE m.id = ANY($1) AND (${hasWaiting('m.id')} OR ${hasLost('m.id')} OR ${hasUnarchivedPin('m.id')})`,
    [models],
  )
}
