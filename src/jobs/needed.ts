/**
 * Which versions somebody may yet ask for: those that are kept, and those that would be read again if one of these had to
 * be made again. That is: from the newest archive at or before it the ledger is applied, and what an intent there read
 * of another model is needed in its turn.
 *
 *   model H    ── archive ── intent reads G@45 ── H@8 is kept
 *   model G    archive 40 ── intent reads S@7 ── 45 ── archive 50       so G@45, and for it S@7, are needed
 *   model S    archive 5 ── 7                                           and the archives 40 of G and 5 of S are
 */
const END = 2_147_483_647

/**
 * SQL that is true where a version of a model is needed, of those from `from` up to, not including, `before` (null: no end).
 * OFFSET 0 has each table asked by its index, range by range: the planner takes the ranges for many, and reads all of it.
 */
export const neededBetween = (model: string, from: string, before: string): string => `EXISTS (
  WITH RECURSIVE replayed (model, first, before) AS (
    SELECT ${model}::text, (${from})::integer, coalesce((${before})::integer, ${END})
    UNION
    SELECT i.model, i.version, coalesce(${nextArchive('i.model', 'i.version')}, ${END})
      FROM replayed x
     CROSS JOIN LATERAL (SELECT intent FROM intent_read
                          WHERE model = x.model AND version >= x.first AND version < x.before OFFSET 0) r
     CROSS JOIN LATERAL (SELECT model, version FROM intent WHERE id = r.intent AND version IS NOT NULL OFFSET 0) i)
  SELECT FROM replayed x
   CROSS JOIN LATERAL (SELECT FROM model_version
                        WHERE model = x.model AND version >= x.first AND version < x.before AND kept OFFSET 0) v)`

/** SQL of the oldest archive of a model that holds a version; null where there is none. */
export const nextArchive = (model: string, version: string): string =>
  `(SELECT min(a.version) FROM archive a WHERE a.model = ${model} AND a.version >= ${version} AND a.state = 'THERE')`
