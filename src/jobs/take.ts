import { type Database, UNHURRIED, unestimated } from '../platform/postgres.ts'
import { notifyChanged } from './channel.ts'
import { columns, type Intent } from './records.ts'

/** Bounds of a batch. What waits beyond them is the next one. */
export const MAX_BATCH = 2000
const MAX_BATCH_BYTES = 8 << 20

export interface Taken {
  /** In the order of seq. */
  batch: Intent[]
  /** Others wait for the next batch already, */
  more: boolean
  /** and are row writes, as far as was looked. */
  moreRows: boolean
}

/**
 * Takes the next batch of a model's line, by seq: the waiting row writes up to the bounds, or one function or import.
 * They are RUNNING from here on. The lock on the model's row orders this against who publishes a version of a model that
 * this one reads (publish.ts).
 *
 * After a manager's death its intents run singly (`singly`). What runs so, and a function or import at any time, is
 * counted before it starts (`solo`), once for each manager: so that the one that takes managers down is told apart from
 * its neighbours, from row writes of other models that were on their way in the same process, and from one whose manager
 * only lost its database. For the same reason only row writes are taken `behind` others that have yet to be applied, by the seq of
 * their last.
 */
export async function takeBatch(
  db: Database,
  of: { model: string; epoch: number; singly: boolean; behind?: bigint },
): Promise<Taken> {
  const most = of.singly ? 1 : MAX_BATCH
  const taken = await db.again<Intent & { waiting: bigint; rows: boolean }>(
    // The status is asked for again at the end: the lock may have been waited for while an intent was cancelled, which
    // the statement's view of `waiting` is too old to show.
    // Where this is lost, with PostgreSQL's crash, they wait in the line again, and who took them is refused to say what they read, and to end them.
    `WITH line AS (
       SELECT m.id, l.owner, ${UNHURRIED} FROM goal_model m JOIN model_lease l ON l.model = m.id
        WHERE m.id = $1 AND m.epoch = $2 AND m.deleted_at IS NULL FOR NO KEY UPDATE OF m),
     waiting AS (
       SELECT id, alone, seq, bytes FROM intent
        WHERE model = $1 AND seq > $6 AND status IN ('QUEUED', 'RUNNING') ORDER BY seq LIMIT $3),
     batch AS (
       SELECT id, row_number() OVER line AS place, bool_or(alone) OVER line AS seen, sum(bytes) OVER line AS bytes
         FROM waiting WINDOW line AS (ORDER BY seq)),
     chosen AS (
       SELECT id, count(*) OVER () = 1 AND (seen OR $5) AS counts
         FROM batch WHERE (place = 1 AND $6 = 0) OR (NOT seen AND (place = 1 OR bytes <= $4)))
     UPDATE intent i
        SET status = 'RUNNING', started_at = coalesce(i.started_at, clock_timestamp()), attempts = i.attempts + 1,
            solo = i.solo + CASE WHEN chosen.counts AND i.solo_owner IS DISTINCT FROM line.owner THEN 1 ELSE 0 END,
            solo_owner = CASE WHEN chosen.counts THEN line.owner ELSE i.solo_owner END
       FROM chosen, line
      WHERE i.id = chosen.id AND ${unestimated("i.status IN ('QUEUED', 'RUNNING')")}
     RETURNING ${columns.intent('i')}, (SELECT count(*) FROM waiting) AS waiting,
               (SELECT NOT bool_or(alone) FROM waiting) AS rows`,
    [of.model, of.epoch, most, MAX_BATCH_BYTES, of.singly, of.behind ?? 0n],
  )
  const batch = taken.map(({ waiting, rows, ...intent }) => intent).sort((a, b) => (a.seq < b.seq ? -1 : 1))
  const [first] = batch
  // Row writes are over in a moment. Who watches would find it by itself, later.
  if (first?.alone) notifyChanged(db, first.id).catch(() => {})
  const waiting = Number(taken[0]?.waiting ?? 0)
  const more = waiting > batch.length || waiting === most
  return { batch, more, moreRows: more && taken[0]?.rows === true }
}

/**
 * Puts what was taken and not applied back into the line; what this manager has counted of it is taken back. A trigger
 * stays RUNNING: which versions it reads has been written down, so the next one must be able to wait behind it.
 */
export async function giveBack(
  db: Database,
  of: { model: string; epoch: number; batch: readonly Intent[] },
): Promise<void> {
  await db.query(
    `WITH line AS (
       SELECT m.id, l.owner FROM goal_model m LEFT JOIN model_lease l ON l.model = m.id
        WHERE m.id = $1 AND m.epoch = $2 FOR NO KEY UPDATE OF m)
     UPDATE intent i
        SET status = CASE WHEN i.source IS NULL THEN 'QUEUED' ELSE 'RUNNING' END, attempts = i.attempts - 1,
            solo = CASE WHEN i.solo_owner = line.owner THEN i.solo - 1 ELSE i.solo END,
            solo_owner = nullif(i.solo_owner, line.owner),
            started_at = NULL, step = NULL, progress = NULL
       FROM line WHERE i.model = line.id AND i.id = ANY($3) AND i.status = 'RUNNING'`,
    [of.model, of.epoch, of.batch.map(({ id }) => id)],
  )
}

/** What a manager finds in a line: the seq up to which intents were RUNNING as the last one ended, 0 where there are none, which are run singly; and whether any wait. */
export async function findLine(db: Database, model: string): Promise<{ suspects: bigint; waits: boolean }> {
  const [row] = await db.again<{ seq: bigint | null; waits: boolean }>(
    `SELECT (SELECT max(seq) FROM intent WHERE model = $1 AND status = 'RUNNING') AS seq,
            EXISTS (SELECT FROM intent WHERE model = $1 AND status = 'QUEUED') AS waits`,
    [model],
  )
  return { suspects: row?.seq ?? 0n, waits: row?.waits ?? false }
}
