import { open } from 'node:fs/promises'
import { text } from 'node:stream/consumers'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { listContent } from '../../src/jobs/content.ts'
import { letGo } from '../../src/jobs/let-go.ts'
import { type Answer, openApi, type TestApi } from '../support/api.ts'
import { sale } from '../support/sales-model.ts'

let api: TestApi
beforeAll(async () => {
  // One place: whoever has it keeps all others waiting.
  api = await openApi({ runs: { places: 1, seconds: 300 } })
})
afterAll(() => api[Symbol.asyncDispose]())
afterEach(() => vi.waitFor(() => expect(api.held, 'what has ended holds no snapshot').toBe(0), 30_000))

const RUN =
  'id state readVersion rowCount error { code message } rows(first: 2) { rows pageInfo { hasNextPage endCursor } } url(format: CSV)'
const START = `mutation ($input: StartQueryInput!, $key: String) { startQuery(input: $input, idempotencyKey: $key) { ${RUN} } }`
const FOREVER = '1000000000000'

const append = (id: string, orders: readonly string[], productId = 'a') =>
  api.graphql(
    'mutation ($id: ID!, $rows: [SaleInput!]!) { appendSales(model: $id, rows: $rows, waitMs: 30000) { version } }',
    { id, rows: orders.map(orderId => sale({ orderId, productId })) },
  )
/** Orders, and a laboratory that reads them, with samples `a`, `b` and `c`. */
async function models(): Promise<{ orders: string; lab: string }> {
  const orders = await api.create({ kind: 'sales' })
  const lab = await api.create({ kind: 'lab', reads: [orders] })
  await api.graphql(
    `mutation ($id: ID!, $rows: [LabSampleInput!]!) { appendLabSamples(model: $id, rows: $rows, waitMs: 30000) { id } }`,
    { id: lab, rows: ['a', 'b', 'c'].map(sampleId => ({ sampleId, collectedAt: '2024-01-01T00:00:00Z' })) },
  )
  return { orders, lab }
}
const ordered = (orders: string, ordersVersion: number) => ({
  function: { name: 'orderedSamples', arguments: { orders, ordersVersion } },
})
const drawn = (orders: string, ordersVersion: number, draws: string) => ({
  function: { name: 'drawnOrders', arguments: { orders, ordersVersion, draws } },
})
const start = async (model: string, query: object): Promise<Answer> =>
  (await api.graphql(START, { input: { model, query } })).startQuery
const codeOf = async (model: string, query: object): Promise<string> =>
  (await api.answer(START, { input: { model, query } })).errors?.[0]?.extensions.code ?? 'done'
const look = async (id: string, waitMs = 0): Promise<Answer> =>
  (
    await api.graphql(`query ($id: ID!, $waitMs: Int) { queryRun(id: $id, waitMs: $waitMs) { ${RUN} } }`, {
      id,
      waitMs,
    })
  ).queryRun
const cancel = (id: string) => api.graphql('mutation ($id: ID!) { cancelQuery(id: $id) { id } }', { id })
const stateIs = (id: string, state: string) =>
  vi.waitFor(async () => expect((await look(id)).state).toBe(state), { timeout: 30_000, interval: 50 })
const isKept = async (model: string, version: number) => {
  await letGo({ db: api.db, dataDir: api.dir, pagedDisk: 0 }, model)
  const [row] = await api.db.query<{ kept: boolean }>(
    'SELECT kept FROM model_version WHERE model = $1 AND version = $2',
    [model, version],
  )
  return row?.kept
}
const letGoOf = (model: string, version: number) =>
  vi.waitFor(async () => expect(await isKept(model, version)).toBe(false), { timeout: 30_000, interval: 100 })

test('a query function reads other models in its run, at the versions that it was told, and its result is paged', async () => {
  const { orders, lab } = await models()
  const empty = await start(lab, ordered(orders, 0))
  expect(await look(empty.id, 60_000)).toMatchObject({ state: 'DONE', rowCount: '0', error: null })
  await append(orders, ['1', '2'], 'a')
  await append(orders, ['3'], 'b')
  await append(orders, ['4'], 'c')
  const runs = [await start(lab, ordered(orders, 2)), await start(lab, ordered(orders, 3))]
  const [second, third] = await Promise.all(runs.map(({ id }) => look(id, 60_000)))
  expect(second).toMatchObject({
    state: 'DONE',
    error: null,
    rowCount: '2',
    rows: {
      rows: [
        ['a', '2'],
        ['b', '1'],
      ],
    },
  })
  expect(second.url).toContain(`/content/${lab}/results/${second.id}.csv`)
  const run = await api.services.queryRuns.get(second.id)
  expect(run && (await text(api.services.results.stream(run, 'csv', AbortSignal.timeout(60_000))))).toBe(
    'sampleId,lines\na,2\nb,1\n',
  )
  expect(third).toMatchObject({ state: 'DONE', rowCount: '3', rows: { pageInfo: { hasNextPage: true } } })
  const next = await api.graphql(
    'query ($id: ID!, $after: String) { queryRun(id: $id) { rows(after: $after) { rows } } }',
    {
      id: third.id,
      after: third.rows.pageInfo.endCursor,
    },
  )
  expect(next.queryRun.rows.rows).toEqual([['c', '1']])
  // The same as the field answers.
  const { labModel } = await api.graphql(
    `{ labModel(id: "${lab}") { snapshot { orderedSamples(orders: "${orders}", ordersVersion: 2) { nodes { sampleId lines } } } } }`,
  )
  expect(second.rows.rows).toEqual(labModel.snapshot.orderedSamples.nodes.map((node: object) => Object.values(node)))
})

test('what the arguments name that may not be read makes no run', async () => {
  const { orders, lab } = await models()
  const stranger = await api.create({ kind: 'sales' })
  const before = (await api.db.query('SELECT FROM query_run')).length
  expect(await codeOf(lab, ordered(stranger, 0))).toBe('BAD_VALUE')
  expect(await codeOf(lab, ordered(lab, 0))).toBe('BAD_VALUE')
  expect(await codeOf(lab, ordered(orders, 7))).toBe('SNAPSHOT_NOT_YET')
  for (let n = 1; n <= 5; n++) await append(orders, [`${n}`])
  await letGoOf(orders, 1)
  expect(await codeOf(lab, ordered(orders, 1))).toBe('SNAPSHOT_GONE')
  expect(await api.db.query('SELECT FROM query_run')).toHaveLength(before)
})

test('versions of other models are kept until the runs that read them have ended', async () => {
  const { orders, lab } = await models()
  await append(orders, ['1'])
  const running = await start(lab, drawn(orders, 1, FOREVER))
  await stateIs(running.id, 'RUNNING')
  const waiting = await start(lab, drawn(orders, 1, '1'))
  for (let n = 2; n <= 6; n++) await append(orders, [`${n}`])
  expect(await isKept(orders, 1)).toBe(true)
  await cancel(running.id)
  expect(await look(waiting.id, 60_000)).toMatchObject({ state: 'DONE', rowCount: '1', error: null })
  expect(await look(running.id)).toMatchObject({ state: 'CANCELLED', rows: null })
  await letGoOf(orders, 1)
  expect(await api.db.query('SELECT FROM query_run_read')).toEqual([])
  // The result is its own.
  expect((await look(waiting.id)).rows.rows).toMatchObject([['1', expect.any(String)]])
})

test('one that waits for a model that is deleted meanwhile fails, and one that reads it goes on', async () => {
  const { orders, lab } = await models()
  await append(orders, ['1'])
  const running = await start(lab, drawn(orders, 1, FOREVER))
  await stateIs(running.id, 'RUNNING')
  const waiting = await start(lab, ordered(orders, 1))
  await api.graphql('mutation ($id: ID!) { updateModel(id: $id, input: { reads: [] }) { id } }', { id: lab })
  await api.graphql('mutation ($id: ID!) { deleteModel(id: $id) }', { id: orders })
  expect(await look(running.id)).toMatchObject({ state: 'RUNNING' })
  await cancel(running.id)
  expect(await look(waiting.id, 60_000)).toMatchObject({
    state: 'FAILED',
    error: { code: 'SNAPSHOT_GONE', message: `Model ${orders}, which the query reads, was deleted.` },
  })
})

test('of damaged files of another model the run waits until they are made again', async () => {
  const { orders, lab } = await models()
  await append(
    orders,
    Array.from({ length: 9_000 }, (_, n) => `${n * 7919}`),
  )
  await append(orders, ['one more'])
  const content = await listContent(api.db, { model: orders, version: 2, form: 'DUCKDB' }, { limit: 10 })
  const running = await start(lab, drawn(orders, 2, FOREVER))
  await stateIs(running.id, 'RUNNING')
  const { id } = await start(lab, drawn(orders, 2, '2'))
  await turnBits(fileURLToPath(content.find(({ name }) => name === 'base.duckdb')?.uri ?? ''))
  await cancel(running.id)
  expect(await look(id, 60_000)).toMatchObject({ state: 'DONE', rowCount: '9001', error: null })
  const [run] = await api.db.query<{ attempt: number }>('SELECT attempt FROM query_run WHERE id = $1', [id])
  expect(run?.attempt, 'it met the damage').toBeGreaterThan(1)
})

/** Turns a bit in every block of the file but the first and the last, where DuckDB keeps what it opens a file by. */
async function turnBits(path: string): Promise<void> {
  await using file = await open(path, 'r+')
  const { size } = await file.stat()
  const byte = Buffer.alloc(1)
  for (let at = 12_288 + 1000; at < size - 262_144; at += 262_144) {
    await file.read(byte, 0, 1, at)
    byte.writeUInt8(byte.readUInt8(0) ^ 1)
    await file.write(byte, 0, 1, at)
  }
}
