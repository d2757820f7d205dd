import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { duckdbEngine } from '../../src/engine/duckdb/index.ts'
import { letArchivesGo } from '../../src/jobs/archive-retention.ts'
import { findToArchive } from '../../src/jobs/archive-version.ts'
import { findChores } from '../../src/jobs/chores.ts'
import { removeCompletions } from '../../src/jobs/completion-pages.ts'
import { Completions } from '../../src/jobs/completions.ts'
import { listContent } from '../../src/jobs/content.ts'
import { clearStore } from '../../src/jobs/deleted-models.ts'
import { Dispatcher } from '../../src/jobs/dispatcher.ts'
import { VersionDownloads } from '../../src/jobs/downloads.ts'
import { LocalLauncher } from '../../src/jobs/launcher.ts'
import { Leases } from '../../src/jobs/lease.ts'
import { Ledger } from '../../src/jobs/ledger.ts'
import { letGo, modelsToLetGo } from '../../src/jobs/let-go.ts'
import { Models } from '../../src/jobs/models.ts'
import { PinnedFiles } from '../../src/jobs/pinned-files.ts'
import { Publisher } from '../../src/jobs/publish.ts'
import { QueryRunner } from '../../src/jobs/query-runner.ts'
import { type NewQueryRun, QueryRuns } from '../../src/jobs/query-runs.ts'
import { pinReads } from '../../src/jobs/reads.ts'
import { ResultFiles } from '../../src/jobs/result-files.ts'
import { removeUploads } from '../../src/jobs/retention.ts'
import { Snapshots } from '../../src/jobs/snapshots.ts'
import { removeResults, StoredResults } from '../../src/jobs/stored-results.ts'
import { findLine, giveBack, takeBatch } from '../../src/jobs/take.ts'
import { VersionDisk } from '../../src/jobs/version-disk.ts'
import { VersionLeases } from '../../src/jobs/version-leases.ts'
import { openObjectStore } from '../../src/platform/objects/index.ts'
import { type Control, openControl, quiet, TRIAL_KINDS } from '../support/control.ts'
import { fileTestStore } from '../support/object-stores.ts'
import { querySettings } from '../support/query-settings.ts'
import { RecordingDatabase, type Statement } from '../support/recording-database.ts'

/** They grow with every intent and version; to read one from end to end is never needed. */
const GROWING = new Set([
  'intent',
  'completion',
  'model_version',
  'content_index',
  'intent_read',
  'version_lease',
  'query_run',
  'query_run_read',
])

let stack: AsyncDisposableStack
let control: Control
let db: RecordingDatabase
beforeAll(async () => {
  stack = new AsyncDisposableStack()
  control = stack.use(await openControl({ kindsDir: TRIAL_KINDS }))
  db = stack.adopt(
    new RecordingDatabase({ url: control.url, name: 'recorded', connections: 4, onError: () => {} }),
    open => open.close(),
  )
  await control.models.create({ id: 'source', kind: 'trial' })
  await control.models.create({ id: 'reader', kind: 'trial', reads: ['source'] })
  await fill(control)
}, 180_000)
afterAll(() => stack[Symbol.asyncDispose]())

/**
 * 12 models with 1,250 intents and versions each: 15,000 rows in the ledger, of which some wait. Tables so small that ANALYZE
 * sees every row: the plans are the same each time, and one that reads an index here does so where there are more.
 */
async function fill({ db }: Control): Promise<void> {
  for (const statement of [
    `INSERT INTO goal_model (id, name, kind, shape, engine, size, version, last_seq, next_seq, completions, archived_version)
     SELECT 'm' || n, 'm' || n, 'trial', '{}', 'DUCKDB', 'SMALL', 1240, 1240, 1251, 1240, 1200 FROM generate_series(1, 10) n`,
    `UPDATE goal_model SET version = 1240, last_seq = 1240, next_seq = 1251, completions = 1240, archived_version = 1200
      WHERE id IN ('source', 'reader')`,
    `INSERT INTO model_version (model, version, epoch, last_seq, completions, tables, kept, published_at)
     SELECT m.id, n, 1, n, n, '[]', n > 1237, now() - make_interval(secs => 1240 - n)
       FROM goal_model m, generate_series(1, 1240) n`,
    `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256)
     SELECT model, version, form, 'file', 'file:///file', 1, repeat('0', 64)
       FROM model_version, unnest(ARRAY['DUCKDB', 'PARQUET']) form WHERE version > 0`,
    `INSERT INTO query_run (id, model, version, work, digest, state, columns, row_count, expires_at, ended_at, traceparent)
     SELECT gen_random_uuid(), model, version, '{"is":"sql","statement":"SELECT 1","params":[]}', '', 'DONE', '[]', 1,
            now() + make_interval(secs => 86400), now(), ''
       FROM model_version WHERE version > 0`,
    `INSERT INTO query_run (id, model, version, work, digest, traceparent)
     SELECT gen_random_uuid(), 'm7', 1239, '{"is":"sql","statement":"SELECT 1","params":[]}', '', ''
       FROM generate_series(1, 50)`,
    `INSERT INTO query_run_read (query_run, position, alias, model, version)
     SELECT id, n, 'source', 'm8', 1239 - n FROM query_run, generate_series(0, 39) n WHERE ended_at IS NULL`,
    `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, query_run)
     SELECT model, version, 'RESULT', id || '-0.parquet', 'file:///file', 1, repeat('0', 64), id
       FROM query_run WHERE state = 'DONE' AND version > 1200`,
    `INSERT INTO intent (id, model, seq, function, arguments, bytes, digest, idempotency_key, alone, status, version, submitted_at,
                         ended_at, traceparent)
     SELECT gen_random_uuid(), m.id, n, 'appendTrialEntries', '{"rows":[]}', 11, '\\x00', m.id || n, false,
            CASE WHEN n > 1240 THEN 'QUEUED' WHEN n % 50 = 0 THEN 'FAILED' ELSE 'PUBLISHED' END,
            CASE WHEN n <= 1240 AND n % 50 <> 0 THEN n END, now() - make_interval(secs => 1250 - n),
            CASE WHEN n <= 1240 THEN now() END, ''
       FROM goal_model m, generate_series(1, 1250) n`,
    `INSERT INTO archive (model, version, shape, tables) SELECT id, n * 40, '{}', '[]' FROM goal_model, generate_series(1, 30) n`,
    `INSERT INTO upload (id, key, format) SELECT gen_random_uuid(), 'key', 'CSV' FROM generate_series(1, 5)`,
    `UPDATE intent i SET upload = u.id FROM upload u WHERE i.model = 'source' AND i.seq BETWEEN 1190 AND 1210`,
    `INSERT INTO completion (model, position, intent) SELECT model, seq, id FROM intent WHERE seq <= 1240`,
    `INSERT INTO intent_read (intent, alias, model, version)
     SELECT id, 'source', 'source', seq FROM intent WHERE model <> 'source' AND seq BETWEEN 1 AND 1240`,
    `INSERT INTO version_reader (id, expires_at) SELECT gen_random_uuid(), now() + interval '1 hour' FROM generate_series(1, 10)`,
    `INSERT INTO version_lease (id, reader, model, version)
     SELECT gen_random_uuid(), r.id, v.model, v.version FROM version_reader r, model_version v WHERE v.version > 1220`,
    `UPDATE goal_model SET deleted_at = now() - interval '1 hour' WHERE id IN ('m1', 'm2')`,
    // Some versions are paged at, and one is due.
    `UPDATE model_version SET kept = true, paged_at = now() WHERE version BETWEEN 1100 AND 1110`,
    `UPDATE model_version SET kept = true WHERE version = 1000`,
    'VACUUM ANALYZE',
  ])
    await db.query(statement)
}

/** What was asked of the database meanwhile. */
async function asked(work: () => Promise<unknown>): Promise<readonly Statement[]> {
  db.statements.length = 0
  await work()
  return [...db.statements]
}

/** By the plan for these values; of one that is kept prepared, by the one for all values, too, to which PostgreSQL may go over. */
async function scansOf({ text, values, isPrepared }: Statement): Promise<string[]> {
  type Explained = { 'QUERY PLAN': [{ Plan: Plan }] }
  const [own] = await control.db.query<Explained>(`EXPLAIN (FORMAT JSON) ${text}`, values)
  const [generic] =
    isPrepared && values.length > 0
      ? await control.db.query<Explained>(`EXPLAIN (GENERIC_PLAN, FORMAT JSON) ${text}`)
      : []
  return [own, generic].flatMap(explained => (explained ? scans(explained['QUERY PLAN'][0].Plan) : []))
}

interface Plan {
  'Node Type': string
  'Relation Name'?: string
  Plans?: Plan[]
}

const scans = (plan: Plan): string[] => [
  ...(plan['Node Type'] === 'Seq Scan' && GROWING.has(plan['Relation Name'] ?? '') ? [`${plan['Relation Name']}`] : []),
  ...(plan.Plans ?? []).flatMap(scans),
]

test('what is asked for all the time reads no table that grows from end to end', async () => {
  const { kinds, queue } = control
  const ledger = new Ledger(db, queue)
  const completions = new Completions(db)
  const models = new Models({ db, queue, ledger, kinds, engines: new Set(['DUCKDB']) })
  const snapshots = stack.adopt(
    new Snapshots({ db, kinds, engines: new Map(), completions, dataDir: '/nowhere', log: quiet }),
    open => open.close(),
  )
  const leases = new Leases(db, crypto.randomUUID())
  const versionLeases = new VersionLeases({ db, log: quiet })
  const publisher = new Publisher({ db, ledger, queue, kinds })
  await using store = await fileTestStore()
  const objects = store.store
  const kind = kinds.get('trial')
  const epoch = (await leases.acquire('source')) ?? 0
  const submission = { model: 'source', function: 'appendTrialEntries', arguments: {}, alone: true }
  const newest = await ledger.intents({ model: 'source' }, { limit: 1 })
  const [one] = await ledger.intents({ model: 'source', status: ['PUBLISHED'] }, { limit: 1 })
  if (!kind || !one) throw new Error('the database was not filled')

  const queryRuns = new QueryRuns(db)
  const newRun: NewQueryRun = {
    version: { model: 'm7', version: 1240 },
    reads: [{ alias: 'source', version: { model: 'source', version: 1240 } }],
    work: { is: 'sql', statement: 'SELECT 1', params: [] },
    asked: 'one',
    idempotencyKey: 'one',
    submittedBy: null,
  }
  const dataDir = stack.adopt(await mkdtemp(join(tmpdir(), 'teatree-results-')), path => rm(path, { recursive: true }))
  const files = stack.adopt(new ResultFiles({ dataDir, log: quiet }), open => open.close())
  const results = new StoredResults({ db, objects, files, snapshots })
  /** One is taken up, cannot be read, and fails. */
  const runOnce = async () => {
    const limits = { ...querySettings().runs, places: 1 }
    const runner = new QueryRunner({ db, snapshots, completions, results, limits, log: quiet })
    runner.look()
    await vi.waitFor(async () => {
      const [failed] = await control.db.query(`SELECT FROM query_run WHERE model = 'm7' AND state = 'FAILED'`)
      expect(failed).toBeDefined()
    }, 30_000)
    await runner.close()
  }

  const publish = async () => {
    const {
      batch: [first],
    } = await takeBatch(db, { model: 'source', epoch, singly: true })
    if (!first) throw new Error('nothing waits')
    const files = [{ name: 'model.duckdb', bytes: 0, sha256: '0'.repeat(64) }]
    await publisher.publish({
      model: 'source',
      kind,
      epoch,
      after: 1240,
      endings: [{ intent: first.id, status: 'PUBLISHED', result: {} }],
      lastSeq: first.seq,
      snapshot: { dir: '/nowhere', files, tables: [] },
    })
  }
  const pinRead = async () => {
    const {
      batch: [first],
    } = await takeBatch(db, { model: 'source', epoch, singly: true })
    if (!first) throw new Error('nothing waits')
    const requests = [{ alias: 'read', model: 'm7', version: null }]
    await pinReads(db, '/nowhere', { model: 'source', epoch, intent: first.id, requests, reads: [{ id: 'm7' }] })
  }
  const work: Record<string, () => Promise<unknown>> = {
    'look for waiting models': () => lookOnce(db),
    'take a batch': () => takeBatch(db, { model: 'source', epoch, singly: false }),
    'take one': () => takeBatch(db, { model: 'source', epoch, singly: true }),
    'find what waits in a line': () => findLine(db, 'source'),
    'give a batch back': () => giveBack(db, { model: 'source', epoch, batch: newest }),
    'publish, and start triggers': publish,
    'let versions go': () => letGo({ db, dataDir: '/nowhere', pagedDisk: 8 }, 'source'),
    'find models that have versions to let go': () => modelsToLetGo(db),
    'measure versions that are paged at': () =>
      letGo({ db, dataDir: '/nowhere', pagedDisk: 8 }, 'm7', new VersionDisk()),
    'lease a version': async () => versionLeases.take(await snapshots.find('m7', { version: 1239 }, 0)),
    'give leases back': async () => {
      const leased = await versionLeases.take(await snapshots.find('m7', { version: 1238 }, 0))
      if (leased) versionLeases.giveBack(leased.lease)
      await versionLeases.close()
    },
    'find what to archive': () => findToArchive(db, 'source', epoch),
    'find chores': () => findChores(db, ['source', 'reader', 'm1']),
    'let archives go': () =>
      letArchivesGo({ db, objects, log: quiet, safe: () => false }, { model: 'source', epoch, keep: 3 }),
    'remove uploads': () => removeUploads({ db, objects, dataDir: '/nowhere' }, 0),
    'clear the store of deleted models': () => clearStore({ db, objects }),
    'pin a read': pinRead,
    'renew leases': () => leases.renew(),
    'read the log': () => completions.read('source', 1000n, 100),
    'remove old completions': () => removeCompletions(db, { entries: 1230, days: 7 }),
    'newest version': () => snapshots.find('source', null, 0),
    'version by number': () => snapshots.find('source', { version: 1241 }, 0),
    'version as of an instant': () => snapshots.find('source', { asOf: new Date().toISOString() }, 0),
    'version with an intent': () => snapshots.find('source', { intent: one.id }, 0),
    'kept versions': () => snapshots.kept('source', 50, null),
    submit: () => ledger.submit({ ...submission, idempotencyKey: 'new' }),
    'submit again': () => ledger.submit({ ...submission, idempotencyKey: 'new' }),
    'look for a key': () => ledger.earlier({ ...submission, idempotencyKey: 'new' }),
    'submit many, some of them again': () =>
      Promise.all(
        Array.from({ length: 100 }, (_, n) => ledger.submit({ ...submission, idempotencyKey: `new${n % 60}` })),
      ),
    'one intent': () => ledger.intent(one.id),
    'newest intents': () => ledger.intents({}, { limit: 50 }),
    'newest intents of a model': () => ledger.intents({ model: 'm7' }, { limit: 50, after: one }),
    'count of a model': () => ledger.countIntents({ model: 'm7' }),
    'states of managers': () => models.managers(['source', 'reader']),
    'start a query run': () => queryRuns.start(newRun),
    'start it again': () => queryRuns.start(newRun),
    'one query run': async () => queryRuns.get((await queryRuns.start(newRun)).id),
    'cancel a query run': async () => queryRuns.cancel((await queryRuns.start(newRun)).id),
    'run query runs': runOnce,
    'content of a query run': async () => results.content(await queryRuns.start(newRun)),
    'remove results': () => removeResults({ db, objects }),
    'look for pinned versions': () => lookForPinned(db),
    'content of a model': () => listContent(db, { model: 'm7' }, { limit: 50 }),
    cancel: async () => ledger.cancel((await ledger.submit({ ...submission, model: 'reader' })).id),
  }
  const found: string[] = []
  for (const [name, act] of Object.entries(work)) {
    const statements = await asked(act)
    expect(statements.length, name).toBeGreaterThan(0)
    for (const statement of statements)
      for (const table of await scansOf(statement)) found.push(`${name}: ${table}: ${statement.text}`)
  }
  expect(found).toEqual([])
})

test('a batch is taken and ended by looking at each of its intents, and not at all of them for each', async () => {
  const [model, count] = ['m7', 2000]
  // As the table was analyzed last, nothing waited and nothing ran. There are so many that to look each up by itself seems cheap.
  await control.db.query(
    `UPDATE intent SET status = 'CANCELLED', ended_at = now() WHERE status IN ('QUEUED', 'RUNNING')`,
  )
  await control.db.query('VACUUM ANALYZE intent')
  await control.db.query(
    `INSERT INTO intent (id, model, seq, function, arguments, bytes, digest, alone, status, traceparent)
     SELECT gen_random_uuid(), $1, n, 'appendTrialEntries', json_build_object('rows', repeat(' ', 500)), 11, '\\x00', false,
            'QUEUED', ''
       FROM generate_series(10000, 9999 + 10 * $2::integer) n`,
    [model, count],
  )
  const { kinds, queue } = control
  const epoch = (await new Leases(db, crypto.randomUUID()).acquire(model)) ?? 0
  const kind = kinds.get('trial')
  if (!kind) throw new Error('the kinds were not loaded')
  const taking = await asked(() => takeBatch(db, { model, epoch, singly: false }))
  const { batch } = await takeBatch(db, { model, epoch, singly: false })
  expect(batch).toHaveLength(count)
  const endings = batch.map(({ id }) => ({ intent: id, status: 'PUBLISHED' as const, result: {} }))
  const publisher = new Publisher({ db, ledger: new Ledger(db, queue), queue, kinds })
  const publication = { model, kind, epoch, endings, lastSeq: batch.at(-1)?.seq ?? 0n }
  const snapshot = { dir: '/nowhere', files: [], tables: [] }
  // Behind another version than the newest: nothing comes of it.
  const publishing = await asked(() =>
    expect(publisher.publish({ ...publication, after: 7, snapshot })).rejects.toThrow('no longer held'),
  )
  const work: [statement: string, rows: number][] = []
  for (const statement of [...taking, ...publishing].filter(({ text }) => /\bintent\b/.test(text)))
    work.push([statement.text, await rowsLookedAt(statement)])
  expect(work.length).toBeGreaterThanOrEqual(3)
  expect(work.filter(([, rows]) => rows > 20 * count)).toEqual([])
})

/** Of all steps of the statement together; what it does is taken back. */
async function rowsLookedAt({ text, values }: Statement): Promise<number> {
  const taken = new Error('taken back')
  let rows = 0
  const run = control.db.transaction(async tx => {
    const [explained] = await tx.query<{ 'QUERY PLAN': [{ Plan: Ran }] }>(
      `EXPLAIN (ANALYZE, FORMAT JSON) ${text}`,
      values,
    )
    if (explained) rows = rowsOf(explained['QUERY PLAN'][0].Plan)
    throw taken
  })
  await expect(run).rejects.toBe(taken)
  return rows
}

interface Ran {
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  'Rows Removed by Join Filter'?: number
  'Index Cond'?: string
  Plans?: Ran[]
}

const rowsOf = (ran: Ran): number =>
  (ran['Actual Rows'] +
    (ran['Rows Removed by Filter'] ?? 0) +
    (ran['Rows Removed by Join Filter'] ?? 0) +
    lengthOfList(ran)) *
    ran['Actual Loops'] +
  (ran.Plans ?? []).reduce((sum, plan) => sum + rowsOf(plan), 0)

/** Of ids that an index is asked for: it is gone through each time. */
const lengthOfList = ({ 'Index Cond': condition = '' }: Ran): number =>
  condition.includes('= ANY (') ? condition.split(',').length : 0

/** One look of the dispatcher, with a launcher that has been closed and so starts nothing. */
async function lookOnce(through: RecordingDatabase): Promise<void> {
  const { completions, kinds, queue } = control
  const none = { program: '', env: {}, managers: 1, onLost: () => {} }
  const launcher = new LocalLauncher({ db: through, log: quiet, ...none })
  await launcher.close()
  const dispatcher = new Dispatcher({ db: through, queue, launcher, completions, kinds, log: quiet })
  dispatcher.look()
  await through.query('SELECT 1')
  await dispatcher.close()
}

/** One look for pinned versions, of which there are none: nothing is made or stored. */
async function lookForPinned(through: RecordingDatabase): Promise<void> {
  const engine = duckdbEngine({ log: quiet })
  const engines = new Map([[engine.name as string, engine]])
  const downloads = new VersionDownloads({ db: through, engines, dataDir: '/nowhere' })
  const objects = await openObjectStore('file:///nowhere')
  const pinned = new PinnedFiles({ db: through, objects, downloads, engines, log: quiet })
  await pinned.look()
  await pinned.close()
  await objects.close()
}
