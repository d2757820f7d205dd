import type { Database, Queryable } from '../platform/postgres.ts'
import { columns, type Intent, type QueryRun } from './records.ts'

/** One entry of a model's log: what has ended. */
export type Completion = { position: bigint } & (
  | { intent: Intent; queryRun: null }
  | { intent: null; queryRun: QueryRun }
)

/** A part of a model's log, read in one go. It is shared: nobody may change it. */
export interface CompletionPage {
  model: string
  /** The position that it was read from. */
  from: bigint
  completions: readonly Completion[]
  /** Where to go on. */
  position: bigint
  hasPreviousPage: boolean
  hasNextPage: boolean
  /** What follows the position that was asked for is not kept any more: it goes on at the newest. */
  reset: boolean
  /** The newest version as this page was made. */
  version: number
}

/** The arguments of a page's intents together, as text; the first intent may have more. */
const PAGE_BYTES = 4 << 20

type Row = {
  place: number
  position: bigint | null
  run: string | null
  oldest: bigint | null
  newest: bigint
  newestVersion: number
} & Intent

/** What is asked of a log: what comes after `from`, at most `limit`. */
export interface PageAsked {
  model: string
  from: bigint
  limit: number
}

/** A page for each that is asked; null where the model is not there. */
export async function readCompletions(
  db: Pick<Database, 'again' | 'query'>,
  asked: readonly PageAsked[],
): Promise<(CompletionPage | null)[]> {
  // One statement, so that log and version are of one moment: what the log tells of can be read at that version.
  const rows = await db.again<Row>(
    `SELECT a.place::integer, c.position, c.run, m.completions AS newest, m.version AS "newestVersion", ${columns.intent('c')},
            (SELECT min(position) FROM completion WHERE model = m.id) AS oldest
       FROM unnest($1::text[], $2::bigint[], $3::integer[]) WITH ORDINALITY AS a (model, start, most, place)
            JOIN goal_model m ON m.id = a.model AND m.deleted_at IS NULL
            LEFT JOIN LATERAL (
              SELECT l.position, l.query_run AS run, i.*, sum(i.bytes) OVER (ORDER BY l.position) - i.bytes AS before
                FROM completion l LEFT JOIN intent i ON i.id = l.intent
               WHERE l.model = a.model AND l.position > a.start ORDER BY l.position LIMIT a.most) c ON coalesce(c.before, 0) < ${PAGE_BYTES}
      ORDER BY a.place, c.position`,
    [asked.map(({ model }) => model), asked.map(({ from }) => from), asked.map(({ limit }) => limit)],
  )
  const runs = await findRuns(
    db,
    rows.flatMap(({ run }) => run ?? []),
  )
  const found = Map.groupBy(rows, ({ place }) => place)
  return asked.map((log, index) => pageOf(log, found.get(index + 1), runs))
}

function pageOf(
  { model, from }: PageAsked,
  rows: readonly Row[] | undefined,
  runs: ReadonlyMap<string, QueryRun>,
): CompletionPage | null {
  const first = rows?.[0]
  if (!rows || !first) return null
  const { newest, newestVersion: version } = first
  const removed = first.oldest === null ? newest : first.oldest - 1n
  if (from < removed)
    return {
      model,
      from,
      completions: [],
      position: newest,
      hasPreviousPage: newest > removed,
      hasNextPage: false,
      reset: true,
      version,
    }
  const completions = rows.flatMap(
    ({ place, position: at, run, oldest, newest, newestVersion, ...intent }): Completion[] => {
      if (at === null) return []
      const queryRun = run === null ? null : runs.get(run)
      return [queryRun ? { position: at, intent: null, queryRun } : { position: at, intent, queryRun: null }]
    },
  )
  const reached = completions.at(-1)?.position ?? from
  return {
    model,
    from,
    completions,
    position: reached,
    hasPreviousPage: from > removed,
    hasNextPage: reached < newest,
    reset: false,
    version,
  }
}

/** They have ended, and stay as they are. */
async function findRuns(db: Queryable, ids: readonly string[]): Promise<Map<string, QueryRun>> {
  if (ids.length === 0) return new Map()
  const found = await db.query<QueryRun>(`SELECT ${columns.queryRun('q')} FROM query_run q WHERE q.id = ANY($1)`, [ids])
  return new Map(found.map(run => [run.id, run]))
}

/** How much of each model's log is kept. */
export interface LogLimits {
  entries: number
  days: number
}

/** In one go, so that nobody waits long for what is locked. */
const REMOVED_AT_ONCE = 10_000

/** Removes what is too old of the logs, or too far behind their newest entries. */
export async function removeCompletions(db: Database, { entries, days }: LogLimits): Promise<void> {
  const tooOld = 'SELECT ctid FROM completion WHERE at < now() - make_interval(days => $1) ORDER BY at LIMIT $2'
  const tooMany = `SELECT c.ctid FROM goal_model m CROSS JOIN LATERAL (
      SELECT ctid FROM completion WHERE model = m.id AND position <= m.completions - $1 ORDER BY position LIMIT $2) c LIMIT $2`
  for (const [going, most] of [
    [tooOld, days],
    [tooMany, entries],
  ] as const)
    for (let removed = REMOVED_AT_ONCE; removed === REMOVED_AT_ONCE; ) {
      const [row] = await db.query<{ removed: number }>(
        `WITH gone AS (DELETE FROM completion WHERE ctid = ANY(ARRAY(${going})) RETURNING 1)
         SELECT count(*)::integer AS removed FROM gone`,
        [most, REMOVED_AT_ONCE],
      )
      removed = row?.removed ?? 0
    }
}
