import { hash } from 'node:crypto'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { ResultFiles } from '../../src/jobs/result-files.ts'
import { canonicalJson } from '../../src/kinds/validate.ts'
import { Cursors } from '../../src/resolvers/cursors.ts'
import { type Answer, openApi, type TestApi } from '../support/api.ts'
import { quiet } from '../support/control.ts'
import { sale } from '../support/sales-model.ts'

let api: TestApi
let model: string
beforeAll(async () => {
  api = await openApi({ sql: { places: 1 } })
  model = await api.create({ kind: 'sales' })
  await append(Array.from({ length: 300 }, (_, order) => `A${order}`))
})
afterAll(() => api[Symbol.asyncDispose]())
afterEach(() => expect(api.held, 'an operation that has ended holds no snapshot').toBe(0))

const append = (orders: readonly string[]) =>
  api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, waitMs: 30000) { version } }',
    {
      model,
      rows: orders.map(orderId => sale({ orderId })),
    },
  )

const SQL = `query ($model: ID!, $at: SnapshotAt, $statement: String!, $params: [JSON], $first: Int, $after: String) {
  salesModel(id: $model) { snapshot(at: $at) { version sql(statement: $statement, params: $params, first: $first, after: $after) {
    columns { name type nullable } rows pageInfo { hasNextPage hasPreviousPage startCursor endCursor } } } } }`
type Asked = { at?: object; params?: unknown[]; first?: number; after?: string | null }

const answer = (statement: string, asked: Asked = {}) => api.answer(SQL, { model, statement, ...asked })
async function ask(statement: string, asked: Asked = {}): Promise<Answer> {
  const { data, errors } = await answer(statement, asked)
  if (errors?.[0]) throw new Error(`${errors[0].extensions?.code}: ${errors[0].message}`)
  return data.salesModel.snapshot.sql
}
const codeOf = async (statement: string, asked: Asked = {}): Promise<string> =>
  (await answer(statement, asked)).errors?.[0]?.extensions?.code ?? 'done'

const results = join
const kept = async () =>
  (await readdir(results(api.dir, 'results')).catch(() => [])).filter(name => name.endsWith('.parquet'))

test('a SELECT over the tables of a version, with values bound to its parameters', async () => {
  const found = await ask(
    'SELECT siteId, count(*) AS sales, sum(amount) AS total, max(date) AS last FROM sales WHERE orderId <> $1 AND amount > $2 GROUP BY ALL',
    { params: ['A0', '1.5'] },
  )
  expect(found).toEqual({
    columns: [
      { name: 'siteId', type: 'VARCHAR', nullable: true },
      { name: 'sales', type: 'BIGINT', nullable: true },
      { name: 'total', type: 'DECIMAL(38,4)', nullable: true },
      { name: 'last', type: 'DATE', nullable: true },
    ],
    rows: [['S1', '299', '5950.1000', '2024-05-17']],
    pageInfo: {
      hasNextPage: false,
      hasPreviousPage: false,
      startCursor: expect.any(String),
      endCursor: expect.any(String),
    },
  })
  expect(await ask('SELECT count(*) FROM sales', { at: { version: 0 } })).toMatchObject({ rows: [['0']] })
  expect(await ask('SELECT * FROM sales WHERE false')).toMatchObject({
    rows: [],
    pageInfo: { hasNextPage: false, endCursor: null },
  })
})

test('pages are of one result, however it came about, and whatever is published meanwhile', async () => {
  const { version } = (await api.graphql('query ($id: ID!) { model(id: $id) { version } }', { id: model })).model
  const statement = 'SELECT orderId, random() AS lot, uuid() AS id FROM sales ORDER BY lot'
  const pages: Answer[] = []
  let after: string | null = null
  do {
    const page: Answer = await ask(statement, { at: { version }, first: 70, after })
    pages.push(page)
    after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null
    await append([`B${pages.length}`])
  } while (after !== null)
  expect(pages.map(({ rows }) => rows.length)).toEqual([70, 70, 70, 70, 20])
  const rows = pages.flatMap(page => page.rows)
  expect(new Set(rows.map(([orderId]) => orderId)).size).toBe(300)
  expect(rows.map(([, lot]) => lot)).toEqual(rows.map(([, lot]) => lot).sort((a, b) => a - b))
  expect(await ask(statement, { at: { version }, first: 70, after: pages[0].pageInfo.endCursor })).toEqual(pages[1])
})

test('a cursor is good for its statement, its parameters and its version alone', async () => {
  const statement = 'SELECT * FROM range($1)'
  const { pageInfo } = await ask(statement, { params: [100], first: 10 })
  const after = pageInfo.endCursor
  expect((await ask(statement, { params: [100], first: 3, after })).rows).toEqual([['10'], ['11'], ['12']])
  expect(await codeOf(statement, { params: [101], first: 10, after })).toBe('BAD_CURSOR')
  expect(await codeOf('SELECT * FROM range( $1)', { params: [100], first: 10, after })).toBe('BAD_CURSOR')
  expect(await codeOf(statement, { params: [100], after: 'x' })).toBe('BAD_CURSOR')
  expect(await codeOf(statement, { params: [100], first: 0 })).toBe('PAGE_SIZE_OUT_OF_RANGE')
  await append(['C'])
  expect(await codeOf(statement, { params: [100], first: 10, after }), 'of the version before').toBe('BAD_CURSOR')
  // The end of a result that was not kept, for it fitted the page.
  const whole = await ask(statement, { params: [5] })
  expect(await ask(statement, { params: [5], after: whole.pageInfo.endCursor })).toMatchObject({ rows: [] })
})

test('a cursor that somebody made names no file of ours, and no result of another statement', async () => {
  const statement = 'SELECT * FROM range(100)'
  const { version } = (await api.graphql('query ($id: ID!) { model(id: $id) { version } }', { id: model })).model
  const scope = `sql ${model}@${version} ${hash('sha256', canonicalJson([statement, []]))}`
  const forged = (result: string, offset = 10) =>
    codeOf(statement, { after: new Cursors(api.services.signatures).encode(scope, [result, offset]) })
  expect(await forged('../store/x')).toBe('BAD_CURSOR')
  expect(await forged('', -1)).toBe('BAD_CURSOR')
  expect(await forged(crypto.randomUUID())).toBe('RESULT_GONE')
  await ask('SELECT * FROM range(99)', { first: 10 })
  for (const name of await kept()) expect(await forged(name.replace('.parquet', ''))).toBe('RESULT_GONE')
  const { pageInfo } = await ask(statement, { first: 10 })
  expect(await codeOf(statement, { first: 10, after: pageInfo.endCursor })).toBe('done')
})

test('only what has a next page is kept, for as long as somebody pages there', async () => {
  const before = await kept()
  await ask('SELECT * FROM range(10)', { first: 10 })
  expect(await kept()).toEqual(before)
  const { pageInfo } = await ask('SELECT * FROM range(11)', { first: 10 })
  expect(await kept()).toHaveLength(before.length + 1)
  const files = new ResultFiles({ dataDir: api.dir, log: quiet, seconds: 0 })
  await files.tidy()
  await files.close()
  expect(await readdir(results(api.dir, 'results'))).toEqual([])
  expect(await codeOf('SELECT * FROM range(11)', { first: 10, after: pageInfo.endCursor })).toBe('RESULT_GONE')
})

test('results that there is no room for go, the one that was read longest ago first', async () => {
  await rm(results(api.dir, 'results'), { recursive: true, force: true })
  const first = await ask('SELECT * FROM range(20)', { first: 10 })
  const second = await ask('SELECT * FROM range(21)', { first: 10 })
  // Read again, and so the younger one.
  await ask('SELECT * FROM range(20)', { first: 5, after: first.pageInfo.endCursor })
  const files = new ResultFiles({ dataDir: api.dir, log: quiet, maxBytes: 400 })
  await files.tidy()
  await files.close()
  expect(await kept()).toHaveLength(1)
  expect(await codeOf('SELECT * FROM range(20)', { first: 5, after: first.pageInfo.endCursor })).toBe('done')
  expect(await codeOf('SELECT * FROM range(21)', { first: 5, after: second.pageInfo.endCursor })).toBe('RESULT_GONE')
})

test('what is wrong, forbidden or too much has its own code, and the message holds nothing of the server', async () => {
  const cases: [string, string][] = [
    ['DROP TABLE sales', 'STATEMENT_NOT_ALLOWED'],
    ["SELECT * FROM read_text('/etc/passwd')", 'ACCESS_DENIED'],
    ['SELECT nosuch FROM sales', 'BAD_VALUE'],
    ['SELECT * FROM range(10001)', 'RESULT_TOO_LARGE'],
    ['SELECT list_sum(range(2000000000))', 'QUERY_TOO_EXPENSIVE'],
  ]
  for (const [statement, code] of cases) {
    const { data, errors } = await answer(statement)
    expect(errors?.[0]?.extensions.code, statement).toBe(code)
    expect(JSON.stringify(errors), statement).not.toMatch(/parquet|answer|\/tmp/)
    // The neighbour has its answer.
    expect(data.salesModel.snapshot.version).toBeGreaterThan(0)
  }
  expect(await codeOf('SELECT $1', { params: [{ a: 1 }] })).toBe('BAD_VALUE')
  expect(await codeOf('SELECT $1', { params: [] })).toBe('BAD_VALUE')
})

test('so many wait for a place, and no more', async () => {
  const left = new AbortController()
  const statement = 'SELECT count(*) FROM range(1000000000000) t(i) WHERE hash(i) % 7 = 1'
  const first = api.answer(SQL, { model, statement }, left.signal)
  await vi.waitFor(() => expect(api.held).toBe(1), 30_000)
  const codes: string[] = []
  const others = Array.from({ length: 70 }, async (_, n) => codes.push(await codeOf(`SELECT ${n}`)))
  await vi.waitFor(() => expect(codes).toEqual(Array(6).fill('UNAVAILABLE')), 30_000)
  left.abort()
  await Promise.all([first, ...others])
  // Those that wait have their turn.
  expect(codes.slice(6)).toEqual(Array(64).fill('done'))
})
