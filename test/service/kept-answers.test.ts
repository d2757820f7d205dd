import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { pinVersion } from '../../src/jobs/pins.ts'
import { anyEngine } from '../support/any-engine.ts'
import { type Answer, openServer, send, type TestServer, until } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer({ engine: anyEngine() })
})
afterAll(() => server[Symbol.asyncDispose]())
afterEach(() => vi.restoreAllMocks())

const append = (id: string, orderId: string, more: Record<string, unknown> = {}) =>
  server.run(id, 'appendSales', { rows: [sale({ orderId, ...more })] })

async function modelWith(...orders: string[]): Promise<string> {
  const id = await server.salesModel()
  for (const order of orders) await append(id, order)
  return id
}

/** How often a model was looked up, as every operation does that runs, while the work was done. */
async function runs(work: () => Promise<unknown>): Promise<number> {
  const spy = vi.spyOn(server.services.models, 'find')
  await work()
  const count = spy.mock.calls.length
  spy.mockRestore()
  return count
}

const reading = (snapshot: string, rest = '') => `query ($id: ID!) { salesModel(id: $id) { ${rest} ${snapshot} } }`
const PAGE = reading(
  'snapshot { version sales(first: 1, orderBy: [{ column: orderId }]) { nodes { orderId } pageInfo { hasNextPage endCursor } totalCount } }',
  'id',
)
const ordersOf = (answer: Answer) => answer.data.salesModel.snapshot.sales.nodes.map((row: Answer) => row.orderId)

test('what has been answered is not run again, and is the same answer', async () => {
  const id = await modelWith('A', 'B')
  const first = await server.answer(PAGE, { id })
  expect(first.data.salesModel.snapshot).toMatchObject({ version: 2, sales: { totalCount: '2' } })
  expect(await runs(async () => expect(await server.answer(PAGE, { id })).toEqual(first))).toBe(0)
  expect(await runs(() => server.answer(PAGE.replace('first: 1', 'first: 2'), { id }))).toBe(1)
})

test('a new version is seen by whoever asks after it was published', async () => {
  const id = await modelWith('A')
  for (let version = 1; version <= 5; version++) {
    for (let times = 0; times < 3; times++) {
      const { data } = await server.answer(PAGE, { id })
      expect(data.salesModel.snapshot).toMatchObject({ version, sales: { totalCount: String(version) } })
    }
    await append(id, `B${version}`)
  }
})

test('what is chosen by its number, by an intent, or by an instant is found again as that', async () => {
  const id = await modelWith('A')
  const intent = await append(id, 'B')
  await append(id, 'C')
  const { data } = await server.answer(reading('snapshot(at: { version: 2 }) { publishedAt }'), { id })
  const query = `query ($id: ID!, $at: SnapshotAt) { salesModel(id: $id) { snapshot(at: $at) { version } } }`
  for (const at of [{ version: 2 }, { intent: intent.id }, { asOf: data.salesModel.snapshot.publishedAt }]) {
    const ask = async () =>
      expect(await server.answer(query, { id, at })).toEqual({ data: { salesModel: { snapshot: { version: 2 } } } })
    await ask()
    expect(await runs(ask)).toBe(0)
  }
  const newest = { atLeast: 1 }
  expect((await server.answer(query, { id, at: newest })).data.salesModel.snapshot.version).toBe(3)
  await append(id, 'D')
  expect((await server.answer(query, { id, at: newest })).data.salesModel.snapshot.version).toBe(4)
})

test('where another model of the same document changes, the answer is made anew', async () => {
  const [a, b] = [await modelWith('A'), await modelWith('B')]
  const query = `query ($a: ID!, $b: ID!) {
    a: salesModel(id: $a) { snapshot { sales { totalCount } } } b: salesModel(id: $b) { snapshot { sales { totalCount } } } }`
  const counts = async () => {
    const { data } = await server.answer(query, { a, b })
    return [data.a.snapshot.sales.totalCount, data.b.snapshot.sales.totalCount]
  }
  expect(await counts()).toEqual(['1', '1'])
  await append(b, 'C')
  expect(await counts()).toEqual(['1', '2'])
  await append(a, 'D')
  expect(await counts()).toEqual(['2', '2'])
  expect(await runs(counts)).toBe(0)
})

test('a model that was deleted is not there, whatever was answered before', async () => {
  const id = await modelWith('A')
  const queries = [PAGE, reading('', 'id engine'), reading('snapshot(at: { version: 1 }) { lastSeq }')]
  for (const query of queries) {
    await server.answer(query, { id })
    expect((await server.answer(query, { id })).data.salesModel).not.toBeNull()
  }
  await server.models.delete(id)
  for (const query of queries) expect(await server.answer(query, { id })).toEqual({ data: { salesModel: null } })
})

test('errors and what is not there are not kept, and meet nobody else', async () => {
  const id = await modelWith('A')
  const later = reading('snapshot(at: { version: 2 }, waitMs: 0) { version }')
  const missing = await server.answer(later, { id })
  expect(missing.errors?.[0].extensions.code).toBe('SNAPSHOT_NOT_YET')
  await append(id, 'B')
  expect(await server.answer(later, { id })).toEqual({ data: { salesModel: { snapshot: { version: 2 } } } })

  const partly = `query ($id: ID!) { salesModel(id: $id) { snapshot { version sales(first: 5000) { totalCount } } } }`
  const ask = async () => expect((await server.answer(partly, { id })).errors).toHaveLength(1)
  await ask()
  expect(await runs(ask)).toBe(1)

  const nobody = { id: 'not-yet-there' }
  expect(await server.answer(PAGE, nobody)).toEqual({ data: { salesModel: null } })
  await server.models.create({ kind: 'sales', ...nobody })
  expect((await server.answer(PAGE, nobody)).data.salesModel.id).toBe(nobody.id)
})

test('what passes is asked for each time', async () => {
  const id = await modelWith('A')
  const query = reading('snapshot { version labels }', 'name')
  await server.answer(query, { id })
  await server.models.update(id, { name: 'another' })
  expect((await server.answer(query, { id })).data.salesModel.name).toBe('another')
  await pinVersion(server.db, id, 1, 'x')
  expect((await server.answer(query, { id })).data.salesModel.snapshot.labels).toEqual(['x'])
})

test('a page that goes on is noted for whoever gets it, also where it was kept', async () => {
  const id = await modelWith('A', 'B')
  await server.answer(PAGE, { id })
  const paged = vi.spyOn(server.services.snapshots, 'paged')
  const { data } = await server.answer(PAGE, { id })
  expect(ordersOf({ data })).toEqual(['A'])
  expect(paged.mock.calls.map(([{ model, version }]) => [model, version])).toEqual([[id, 2]])
  paged.mockClear()
  const whole = PAGE.replace('first: 1', 'first: 5')
  for (let times = 0; times < 2; times++) await server.answer(whole, { id })
  expect(paged).not.toHaveBeenCalled()
  // A request that was answered holds nothing.
  await until(() => server.held === 0)
})

test('how it is asked for tells answers apart', async () => {
  const id = await modelWith('A')
  const query = reading('snapshot(at: { version: 1 }) { version }')
  const search = new URLSearchParams({ query, variables: JSON.stringify({ id }) })
  const get = (headers: Record<string, string>) => send(`${server.url}/graphql?${search}`, { headers })
  for (let times = 0; times < 2; times++) {
    expect((await get({ accept: 'application/json' })).headers['content-type']).toMatch(/^application\/json/)
    const standard = await get({ accept: 'application/graphql-response+json' })
    expect(standard.headers['content-type']).toMatch(/^application\/graphql-response\+json/)
    const etag = String(standard.headers.etag)
    const same = await get({ accept: 'application/graphql-response+json', 'if-none-match': etag })
    expect([same.status, same.headers['cache-control']]).toEqual([304, 'private, max-age=31536000, immutable'])
    expect((await server.answer(query, { id })).data.salesModel.snapshot.version).toBe(1)
  }
})
