import { rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { letGo } from '../../src/jobs/let-go.ts'
import { QueryRunner } from '../../src/jobs/query-runner.ts'
import { ResultFiles } from '../../src/jobs/result-files.ts'
import { removeResults, StoredResults } from '../../src/jobs/stored-results.ts'
import { type ObjectStore, openObjectStore } from '../../src/platform/objects/index.ts'
import { type Answer, openApi, type TestApi } from '../support/api.ts'
import { quiet } from '../support/control.ts'
import { querySettings } from '../support/query-settings.ts'
import { sale } from '../support/sales-model.ts'

let api: TestApi
let runner: QueryRunner
let objects: ObjectStore
let model: string
beforeAll(async () => {
  api = await openApi()
  objects = await openObjectStore(`file://${join(api.dir, 'store')}`)
  runner = newRunner()
  runner.start()
  model = await api.create({ kind: 'sales' })
  await append(model, 120)
})
afterAll(async () => {
  await runner.close()
  await objects.close()
  await api[Symbol.asyncDispose]()
})
afterEach(() => vi.waitFor(() => expect(api.held, 'what has ended holds no snapshot').toBe(0), 30_000))

const files = () => new ResultFiles({ dataDir: api.dir, log: quiet })
function newRunner(store = objects): QueryRunner {
  const { snapshots, completions } = api.services
  const results = new StoredResults({ db: api.db, objects: store, files: files(), snapshots })
  return new QueryRunner({ db: api.db, snapshots, completions, results, limits: querySettings().runs, log: quiet })
}

const append = (id: string, orders: number, prefix = 'A') =>
  api.graphql(
    'mutation ($id: ID!, $rows: [SaleInput!]!) { appendSales(model: $id, rows: $rows, waitMs: 30000) { version } }',
    { id, rows: Array.from({ length: orders }, (_, n) => sale({ orderId: `${prefix}${n}`, siteId: `S${n % 3}` })) },
  )

const linkTo = (path: string) =>
  expect.stringMatching(`^http://test/content/${path}\\?expires=\\d+&signature=[\\w-]{16}$`)

const RUN = `id readVersion state rowCount error { code message } columns { name type } startedAt endedAt expiresAt
  model { id } url(format: CSV) content { form bytes rows sha256 url uri }
  rows(first: 2) { rows pageInfo { hasNextPage endCursor } }`
const START = `mutation ($input: StartQueryInput!, $key: String) { startQuery(input: $input, idempotencyKey: $key) { ${RUN} } }`
const FOREVER = 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1'

const sqlOf = (statement: string, params?: unknown[]) => ({ sql: { statement, ...(params && { params }) } })
const start = async (query: object, more: { at?: object; model?: string; key?: string } = {}): Promise<Answer> =>
  (
    await api.graphql(START, {
      input: { model: more.model ?? model, query, ...(more.at && { at: more.at }) },
      ...(more.key && { key: more.key }),
    })
  ).startQuery
const codeOf = async (query: object, more: { at?: object; key?: string } = {}): Promise<string> =>
  (await api.answer(START, { input: { model, query, ...(more.at && { at: more.at }) }, key: more.key })).errors?.[0]
    ?.extensions.code ?? 'done'
const look = async (id: string, waitMs = 0): Promise<Answer> =>
  (
    await api.graphql(`query ($id: ID!, $waitMs: Int) { queryRun(id: $id, waitMs: $waitMs) { ${RUN} } }`, {
      id,
      waitMs,
    })
  ).queryRun
const cancel = async (id: string): Promise<Answer> =>
  (await api.graphql(`mutation ($id: ID!) { cancelQuery(id: $id) { ${RUN} } }`, { id })).cancelQuery
const stateIs = (id: string, state: string) =>
  vi.waitFor(async () => expect((await look(id)).state).toBe(state), { timeout: 30_000, interval: 50 })
const stored = async () => {
  const found: string[] = []
  for await (const { key } of objects.list(`${model}/results/`)) found.push(key)
  return found
}

test('SQL runs by itself, and its result is in the store, to be paged', async () => {
  const started = await start(
    sqlOf('SELECT siteId, count(*) AS n FROM sales WHERE line = $1 GROUP BY ALL ORDER BY 1', [1]),
  )
  expect(started).toMatchObject({ state: 'QUEUED', rowCount: null, columns: null, rows: null, content: [], url: null })
  const done = await look(started.id, 30_000)
  expect(done).toMatchObject({
    state: 'DONE',
    model: { id: model },
    readVersion: started.readVersion,
    rowCount: '3',
    error: null,
    columns: [
      { name: 'siteId', type: 'VARCHAR' },
      { name: 'n', type: 'BIGINT' },
    ],
    rows: {
      rows: [
        ['S0', '40'],
        ['S1', '40'],
      ],
      pageInfo: { hasNextPage: true },
    },
    content: [{ form: 'RESULT', rows: '3', url: linkTo(`${model}/results/${started.id}.parquet`) }],
    url: linkTo(`${model}/results/${started.id}.csv`),
  })
  expect(Date.parse(done.expiresAt) - Date.parse(done.endedAt)).toBe(3600_000)
  const next = await api.graphql(
    'query ($id: ID!, $after: String) { queryRun(id: $id) { rows(after: $after) { rows } } }',
    {
      id: started.id,
      after: done.rows.pageInfo.endCursor,
    },
  )
  expect(next.queryRun.rows.rows).toEqual([['S2', '40']])
  // What is on this machine is a copy.
  await rm(join(api.dir, 'results'), { recursive: true, force: true })
  expect((await look(started.id)).rows).toEqual(done.rows)
  const indexed = await api.graphql(
    'query ($id: ID!) { model(id: $id) { contentIndex(form: RESULT) { nodes { form sha256 url } } } }',
    { id: model },
  )
  expect(indexed.model.contentIndex.nodes).toContainEqual({
    form: 'RESULT',
    sha256: done.content[0].sha256,
    url: done.content[0].url,
  })
})

test('a subscriber to completions is told, with the first page of rows', async () => {
  const events = api.subscribe(
    `subscription ($id: ID!) { completions(model: $id) { edges { node { __typename ... on QueryRun { ${RUN} } } } } }`,
    { id: model },
  )
  expect((await events.next()).value.completions.edges).toEqual([])
  const { id } = await start(sqlOf('SELECT orderId FROM sales ORDER BY orderId'))
  const { completions } = (await events.next()).value
  expect(completions.edges).toMatchObject([
    { node: { __typename: 'QueryRun', id, state: 'DONE', rowCount: '120', rows: { rows: [['A0'], ['A1']] } } },
  ])
  await events.return?.()
})

test('a query function runs by its name', async () => {
  const goals = await api.create({ kind: 'goals', reads: [model] })
  const { computeGoals } = await api.graphql(
    'mutation ($goals: ID!, $input: ComputeGoalsInput!) { computeGoals(model: $goals, input: $input, waitMs: 30000) { status } }',
    {
      goals,
      input: {
        salesModel: model,
        grain: ['SITE'],
        basisPeriod: { from: '2024-01-01', to: '2025-01-01' },
        goalPeriod: { from: '2025-01-01', to: '2026-01-01' },
      },
    },
  )
  expect(computeGoals.status).toBe('PUBLISHED')
  const run = await start({ function: { name: 'attainment', arguments: { by: ['SITE'] } } }, { model: goals })
  const done = await look(run.id, 30_000)
  expect(done).toMatchObject({ state: 'DONE', rowCount: '3', error: null })
  const { goalsModel } = await api.graphql(
    'query ($id: ID!) { goalsModel(id: $id) { snapshot { attainment(by: [SITE], first: 2) { nodes { period siteId productId customerId salespersonId goalAmount actualAmount ratio } } } } }',
    { id: goals },
  )
  expect(done.rows.rows).toEqual(goalsModel.snapshot.attainment.nodes.map((node: object) => Object.values(node)))
  const wrong = async (called: object) =>
    (await api.answer(START, { input: { model: goals, query: { function: called } } })).errors?.[0]?.extensions.code
  expect(await wrong({ name: 'nosuch' })).toBe('BAD_VALUE')
  expect(await wrong({ name: 'attainment', arguments: { nosuch: 1 } })).toBe('BAD_VALUE')
  expect(await wrong({ name: 'attainment', arguments: { by: ['NOWHERE'] } })).toBe('BAD_VALUE')
  expect(await wrong({ name: 'attainment', arguments: [] })).toBe('BAD_VALUE')
})

test('what the request alone shows to be wrong makes no run', async () => {
  const count = async () => (await api.db.query('SELECT FROM query_run')).length
  const before = await count()
  expect(await codeOf(sqlOf('DROP TABLE sales'))).toBe('STATEMENT_NOT_ALLOWED')
  expect(await codeOf(sqlOf("SELECT * FROM read_text('/etc/passwd')"))).toBe('ACCESS_DENIED')
  expect(await codeOf(sqlOf('SELECT nosuch FROM sales'))).toBe('BAD_VALUE')
  expect(await codeOf(sqlOf('SELECT $1'))).toBe('BAD_VALUE')
  expect(await codeOf(sqlOf('SELECT $1', [{}]))).toBe('BAD_VALUE')
  expect(await codeOf(sqlOf('SELECT 1'), { at: { atLeast: -1 } })).toBe('BAD_VALUE')
  expect(await codeOf(sqlOf('SELECT 1'), { key: '' })).toBe('BAD_VALUE')
  expect(await count()).toBe(before)
  expect(await look('00000000-0000-0000-0000-000000000000')).toBeNull()
  expect(await look('nonsense')).toBeNull()
})

test('what only running shows fails the run, with its code', async () => {
  const runs = await Promise.all([
    start(sqlOf('SELECT siteId::INTEGER FROM sales')),
    start(sqlOf('SELECT * FROM range(10001)')),
    start(sqlOf('SELECT list_sum(range(2000000000 + count(*))) FROM sales')),
  ])
  const ended = await Promise.all(runs.map(({ id }) => look(id, 60_000)))
  expect(ended.map(({ state, error }) => [state, error?.code])).toEqual([
    ['FAILED', 'BAD_VALUE'],
    ['FAILED', 'RESULT_TOO_LARGE'],
    ['FAILED', 'QUERY_TOO_EXPENSIVE'],
  ])
  for (const run of ended) expect(run).toMatchObject({ rows: null, content: [], url: null, rowCount: null })
})

test('the same key gives the same run, and with something else is refused', async () => {
  const key = crypto.randomUUID()
  const [first, ...others] = await Promise.all(Array.from({ length: 5 }, () => start(sqlOf('SELECT 7'), { key })))
  for (const other of others) expect(other.id).toBe(first.id)
  await append(model, 1, 'K')
  expect((await start(sqlOf('SELECT 7'), { key })).readVersion).toBe(first.readVersion)
  expect(await codeOf(sqlOf('SELECT 8'), { key })).toBe('IDEMPOTENCY_CONFLICT')
  expect(await codeOf(sqlOf('SELECT 7'), { key, at: { version: 0 } })).toBe('IDEMPOTENCY_CONFLICT')
})

test('one that runs is cancelled, and one that waits, and the others take their places', async () => {
  const [one, two] = [await start(sqlOf(FOREVER)), await start(sqlOf(FOREVER))]
  await Promise.all([stateIs(one.id, 'RUNNING'), stateIs(two.id, 'RUNNING')])
  const waiting = await start(sqlOf('SELECT 1'))
  const dropped = await start(sqlOf('SELECT 2'))
  expect(await cancel(dropped.id)).toMatchObject({ state: 'CANCELLED', startedAt: null, rows: null })
  expect((await look(waiting.id)).state).toBe('QUEUED')
  expect(await cancel(one.id)).toMatchObject({ state: 'CANCELLED', error: null })
  expect((await look(waiting.id, 30_000)).state).toBe('DONE')
  expect((await cancel(two.id)).state).toBe('CANCELLED')
  // Ended is ended.
  expect((await cancel(waiting.id)).state).toBe('DONE')
  const { completions } = (await api.services.completions.read(model, 0n, 1000)) ?? { completions: [] }
  for (const id of [one.id, two.id, waiting.id, dropped.id])
    expect(completions.filter(({ queryRun }) => queryRun?.id === id)).toHaveLength(1)
  expect((await api.answer('mutation { cancelQuery(id: "nonsense") { id } }')).errors?.[0]?.extensions.code).toBe(
    'NOT_FOUND',
  )
})

test('models take turns: one with many runs does not keep another waiting', async () => {
  const other = await api.create({ kind: 'sales' })
  const [one, two] = [await start(sqlOf(FOREVER)), await start(sqlOf(FOREVER))]
  await Promise.all([stateIs(one.id, 'RUNNING'), stateIs(two.id, 'RUNNING')])
  const mine = await start(sqlOf('SELECT 1'))
  const theirs = await start(sqlOf(FOREVER), { model: other })
  await cancel(one.id)
  await stateIs(theirs.id, 'RUNNING')
  expect((await look(mine.id)).state).toBe('QUEUED')
  await cancel(theirs.id)
  await cancel(two.id)
  expect((await look(mine.id, 30_000)).state).toBe('DONE')
})

test('a version is kept until what reads it has ended', async () => {
  const id = await api.create({ kind: 'sales' })
  await append(id, 3, 'V1-')
  const run = await start(sqlOf(FOREVER), { model: id, at: { version: 1 } })
  await stateIs(run.id, 'RUNNING')
  const late = await start(sqlOf('SELECT count(*) FROM sales'), { model: id, at: { version: 1 } })
  for (let n = 2; n <= 6; n++) await append(id, 1, `V${n}-`)
  const deps = { db: api.db, dataDir: api.dir, pagedDisk: 0 }
  const isKept = async () => {
    await letGo(deps, id)
    const [version] = await api.db.query<{ kept: boolean }>(
      'SELECT kept FROM model_version WHERE model = $1 AND version = 1',
      [id],
    )
    return version?.kept
  }
  expect(await isKept()).toBe(true)
  await cancel(run.id)
  expect(await look(late.id, 30_000)).toMatchObject({ state: 'DONE', rows: { rows: [['3']] } })
  await vi.waitFor(async () => expect(await isKept()).toBe(false), { timeout: 30_000, interval: 100 })
  // The result is its own.
  expect((await look(late.id)).rows.rows).toEqual([['3']])
})

test('a result that has expired is gone from the store, and says so', async () => {
  const { id } = await start(sqlOf('SELECT 1'))
  const { rows } = await look(id, 30_000)
  expect(rows.rows).toEqual([[1]])
  const before = await stored()
  await removeResults({ db: api.db, objects })
  expect(await stored()).toEqual(before)
  await api.db.query('UPDATE query_run SET expires_at = clock_timestamp() WHERE id = $1', [id])
  const { data, errors } = await api.answer(`{ queryRun(id: "${id}") { ${RUN} } }`)
  expect(errors?.[0]?.extensions.code).toBe('RESULT_GONE')
  expect(data.queryRun).toMatchObject({ state: 'DONE', rowCount: '1', rows: null, content: [] })
  await removeResults({ db: api.db, objects })
  expect((await stored()).filter(key => key.includes(id))).toEqual([])
  expect(await api.db.query('SELECT FROM content_index WHERE query_run = $1', [id])).toEqual([])
})

test('what an attempt left in the store that came to nothing is removed', async () => {
  const { id } = await start(sqlOf('SELECT 1'))
  await look(id, 30_000)
  const [{ version, name } = { version: 0, name: '' }] = await api.db.query<{ version: number; name: string }>(
    'SELECT version, name FROM content_index WHERE query_run = $1',
    [id],
  )
  const left = name.replace('-1.parquet', '-0.parquet')
  await objects.put(`${model}/results/${left}`, Buffer.from('x'))
  await api.db.query(
    `INSERT INTO content_index (model, version, form, name, uri, bytes, sha256, role, query_run)
     VALUES ($1, $2, 'RESULT', $3, 'file:///x', 1, $4, 'COMING', $5)`,
    [model, version, left, 'a'.repeat(64), id],
  )
  await removeResults({ db: api.db, objects })
  expect((await stored()).filter(key => key.includes(id))).toEqual([`${model}/results/${name}`])
  expect((await look(id)).rows.rows).toEqual([[1]])
})

test('a runner that stops puts back what it runs, and one that died is followed by another', async () => {
  await runner.close()
  const first = newRunner()
  first.start()
  const { id } = await start(sqlOf('SELECT count(*) FROM range($1) t(i) WHERE hash(i) % 7 = 1', [1e12]))
  await stateIs(id, 'RUNNING')
  await first.close()
  expect((await look(id)).state).toBe('QUEUED')
  // As one leaves it that was killed long ago, and again and again.
  await api.db.query(
    `UPDATE query_run SET state = 'RUNNING', held_until = clock_timestamp() - interval '1 s', retry_at = NULL, deaths = 1 WHERE id = $1`,
    [id],
  )
  const second = newRunner()
  second.start()
  await vi.waitFor(
    async () => {
      const [run] = await api.db.query<{ deaths: number; attempt: number }>(
        'SELECT deaths, attempt FROM query_run WHERE id = $1',
        [id],
      )
      expect(run).toEqual({ deaths: 2, attempt: 2 })
    },
    { timeout: 30_000 },
  )
  await second.close()
  await api.db.query(
    `UPDATE query_run SET state = 'RUNNING', held_until = clock_timestamp() - interval '1 s', retry_at = NULL WHERE id = $1`,
    [id],
  )
  runner = newRunner()
  runner.start()
  expect(await look(id, 30_000)).toMatchObject({ state: 'FAILED', error: { code: 'INTERNAL' } })
})

test('a run waits for its surroundings, longer each time, and not for ever', async () => {
  await runner.close()
  await writeFile(join(api.dir, 'no-folder'), '')
  const nowhere = await openObjectStore(`file://${join(api.dir, 'no-folder', 'store')}`)
  const waits = async (attempt: number) => {
    const { id } = await start(sqlOf('SELECT $1', [attempt]))
    await api.db.query('UPDATE query_run SET attempt = $2 WHERE id = $1', [id, attempt - 1])
    const one = newRunner(nowhere)
    one.start()
    // What cannot be stored is kept here, until there is no room.
    await vi.waitFor(() => rm(join(api.dir, 'results', `${id}-${attempt}.parquet`)), { timeout: 30_000 })
    const ended = await vi.waitFor(
      async () => {
        const [run] = await api.db.query(
          `SELECT state, error, retry_at > clock_timestamp() + interval '5 s' AS "isLater" FROM query_run
            WHERE id = $1 AND state <> 'RUNNING' AND attempt = $2`,
          [id, attempt],
        )
        expect(run).toBeDefined()
        return run
      },
      { timeout: 30_000 },
    )
    await one.close()
    await cancel(id)
    return ended
  }
  expect(await waits(3)).toMatchObject({ state: 'QUEUED', isLater: true })
  expect(await waits(20)).toMatchObject({ state: 'FAILED', error: { code: 'UNAVAILABLE' } })
  await nowhere.close()
  runner = newRunner()
  runner.start()
})

test('with a model what waits is cancelled, what runs may finish, and its results go', async () => {
  const id = await api.create({ kind: 'sales' })
  const [one, two] = [await start(sqlOf(FOREVER)), await start(sqlOf(FOREVER), { model: id })]
  await Promise.all([stateIs(one.id, 'RUNNING'), stateIs(two.id, 'RUNNING')])
  const waiting = await start(sqlOf('SELECT 1'), { model: id })
  await api.graphql('mutation ($id: ID!) { deleteModel(id: $id) }', { id })
  expect(await look(waiting.id)).toMatchObject({ state: 'CANCELLED', model: null })
  expect((await look(two.id)).state).toBe('RUNNING')
  await cancel(one.id)
  await cancel(two.id)
})
