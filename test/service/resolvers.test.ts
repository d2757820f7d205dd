import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Answer, openApi, type TestApi } from '../support/api.ts'
import { sale } from '../support/sales-model.ts'

let api: TestApi
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())
afterEach(() => expect(api.held, 'an operation that has ended holds no snapshot').toBe(0))

const codeOf = async (source: string, variables?: Record<string, unknown>): Promise<string | undefined> =>
  (await api.answer(source, variables)).errors?.[0]?.extensions?.code

const INTENT =
  'id seq status version result outcome { __typename ... on RowsWritten { table inserted updated deleted } }'
const append = (model: string, orders: readonly string[], more = 'waitMs: 30000') =>
  api.graphql(
    `mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, ${more}) { ${INTENT} endedAt } }`,
    { model, rows: orders.map(orderId => sale({ orderId })) },
  )

const linkTo = (path: string) =>
  expect.stringMatching(`^http://test/content/${path}\\?expires=\\d+&signature=[\\w-]{16}$`)

test('a model, from its making to its deletion', async () => {
  const id = await api.create({ kind: 'sales', id: 'north', name: 'North', size: 'LARGE' })
  const goals = await api.create({ kind: 'goals', reads: [id] })
  const { model, salesModel, goalsModel } = await api.graphql(`{
    model(id: "${goals}") { __typename reads { __typename id } manager { id epoch queued archiveLag } snapshot { __typename id lastSeq labels } }
    salesModel(id: "north") { name size engine version kind { id tables { name key } functions { name } } createdAt snapshots { nodes { id } } }
    goalsModel(id: "north") { id }
  }`)
  expect(model).toMatchObject({
    __typename: 'GoalsModel',
    reads: [{ __typename: 'SalesModel', id: 'north' }],
    manager: { id: goals, queued: 0, archiveLag: 0 },
    snapshot: { __typename: 'GoalsSnapshot', id: `${goals}@0`, lastSeq: '0', labels: [] },
  })
  expect(salesModel).toMatchObject({
    name: 'North',
    size: 'LARGE',
    engine: 'DUCKDB',
    version: 0,
    snapshots: { nodes: [{ id: 'north@0' }] },
  })
  expect(salesModel.kind.tables[4]).toEqual({ name: 'sales', key: ['orderId', 'line'] })
  expect(goalsModel).toBeNull()

  const { updateModel } = await api.graphql(
    'mutation { updateModel(id: "north", input: { name: "Far north" }) { name size } }',
  )
  expect(updateModel).toEqual({ name: 'Far north', size: 'LARGE' })
  expect(await codeOf('mutation { deleteModel(id: "north") }')).toBe('MODEL_IN_USE')
  await api.graphql(`mutation { a: deleteModel(id: "${goals}") b: deleteModel(id: "north") }`)
  expect(await api.graphql('{ model(id: "north") { id } }')).toEqual({ model: null })
  expect(await codeOf('mutation { createModel(input: { kind: "sales", id: "north" }) { id } }')).toBe('NAME_TAKEN')
  expect(await codeOf('mutation { updateModel(id: "north", input: {}) { id } }')).toBe('NOT_FOUND')
})

test('models are paged from either end, and counted', async () => {
  for (const name of ['page 1', 'page 2', 'page 3', 'page 4']) await api.create({ kind: 'sales', name })
  const look = async (args: string) => {
    const { models } = await api.graphql(`{ models(where: { kind: "sales", nameLike: "page _" }, ${args}) {
      nodes { name } totalCount pageInfo { hasNextPage hasPreviousPage startCursor endCursor } edges { cursor } } }`)
    return models
  }
  const names = (page: Answer) => page.nodes.map((model: { name: string }) => model.name.slice(-1)).join('')
  const first = await look('first: 3')
  expect([names(first), first.totalCount, first.pageInfo.hasNextPage, first.pageInfo.hasPreviousPage]).toEqual([
    '123',
    4,
    true,
    false,
  ])
  expect(names(await look(`after: "${first.pageInfo.endCursor}"`))).toBe('4')
  const last = await look(`last: 2, before: "${first.edges[2].cursor}"`)
  expect([names(last), last.pageInfo.hasNextPage, last.pageInfo.hasPreviousPage]).toEqual(['12', true, false])
  expect(await codeOf('{ models(first: 0) { totalCount } }')).toBe('PAGE_SIZE_OUT_OF_RANGE')
  expect(await codeOf('{ models(after: "x") { totalCount } }')).toBe('BAD_CURSOR')
  expect(await codeOf(`{ intents(after: "${first.pageInfo.endCursor}") { totalCount } }`)).toBe('BAD_CURSOR')
  expect(await codeOf('{ model(id: "a\\u0000b") { id } }')).toBe('BAD_VALUE')
  expect(await codeOf('{ models(where: { nameLike: "a\\\\" }) { totalCount } }')).toBe('BAD_VALUE')
})

test('a model of a kind that the server does not know is left out of lists, and of nothing else', async () => {
  const { models, db } = api.services
  const { id } = await models.create({ kind: 'sales', name: 'forgotten' })
  const { id: known } = await models.create({ kind: 'goals', name: 'forgotten', reads: [id] })
  await db.query(`UPDATE goal_model SET kind = 'forgotten' WHERE id = $1`, [id])
  const where = 'where: { nameLike: "forgotten" }'
  const { models: found } = await api.graphql(`{ models(${where}) { totalCount nodes { id reads { id } } } }`)
  expect(found).toEqual({ totalCount: 1, nodes: [{ id: known, reads: [] }] })
  const changes = api.subscribe(`subscription { modelChanges(${where}) { id } }`)
  expect((await changes.next()).value.modelChanges).toEqual([{ id: known }])
  await changes.return?.()
  expect(await codeOf(`{ model(id: "${id}") { id } }`)).toBe('UNKNOWN_KIND')
  expect(await codeOf('{ models(where: { kind: "forgotten" }) { nodes { id } } }')).toBeUndefined()
})

test('goals on ARROW are computed from sales on DUCKDB, locked, and read', async () => {
  const sales = await api.create({ kind: 'sales' })
  const goals = await api.create({ kind: 'goals', engine: 'ARROW', reads: [sales] })
  await api.graphql(`mutation { appendSales(model: "${sales}", rows: [{ orderId: "1", line: 1, date: "2012-05-05",
    siteId: "s", productId: "p", customerId: "c", quantity: 1, amount: "100.005" }], waitMs: 30000) { id } }`)
  const year = (year: number) => `{ from: "${year}-01-01", to: "${year + 1}-01-01" }`
  const { computeGoals } =
    await api.graphql(`mutation { computeGoals(model: "${goals}", input: { salesModel: "${sales}",
    basisPeriod: ${year(2012)}, goalPeriod: ${year(2013)}, interval: YEAR, grain: [SITE], growth: "0.5" }, waitMs: 30000) {
      status error { code message } } }`)
  expect(computeGoals).toMatchObject({ status: 'PUBLISHED', error: null })
  const { goalsModel } = await api.graphql(`{ goalsModel(id: "${goals}") { snapshot {
    goals { nodes { period siteId goalAmount } } attainment(by: [SITE]) { nodes { siteId goalAmount actualAmount ratio } } } } }`)
  expect(goalsModel.snapshot).toEqual({
    goals: { nodes: [{ period: '2013-01-01', siteId: 's', goalAmount: '150.01' }] },
    attainment: { nodes: [{ siteId: 's', goalAmount: '150.01', actualAmount: '0.0000', ratio: 0 }] },
  })
})

test('an intent is held until it has ended, and shows what it did and where', async () => {
  const model = await api.create({ kind: 'sales' })
  const { appendSales } = await append(model, ['A', 'B'])
  expect(appendSales).toMatchObject({
    seq: '1',
    status: 'PUBLISHED',
    version: 1,
    result: { table: 'sales', inserted: '2', updated: '0', deleted: '0' },
    outcome: { __typename: 'RowsWritten', table: 'sales', inserted: '2' },
  })
  const { intent, model: of } = await api.graphql(
    `query ($id: ID!, $model: ID!) {
       intent(id: $id, waitMs: 1000) { submittedBy traceId read { model } function arguments model { __typename } snapshot { __typename id ... on SalesSnapshot { sale(orderId: "B", line: 1) { amount } } } }
       model(id: $model) { version intents(status: [PUBLISHED]) { totalCount nodes { id } } snapshots { nodes { version } } contentIndex(form: DUCKDB) { nodes { version form url sha256 } } } }`,
    { id: appendSales.id, model },
  )
  expect(intent).toMatchObject({
    submittedBy: 'tester',
    function: 'appendSales',
    read: [],
    model: { __typename: 'SalesModel' },
    snapshot: { __typename: 'SalesSnapshot', id: `${model}@1`, sale: { amount: '19.9000' } },
  })
  expect(intent.traceId).toMatch(/^[0-9a-f]{32}$/)
  expect(intent.arguments.rows[0]).toMatchObject({ orderId: 'A', amount: '19.9000' })
  expect(of).toMatchObject({
    version: 1,
    intents: { totalCount: 1, nodes: [{ id: appendSales.id }] },
    snapshots: { nodes: [{ version: 1 }, { version: 0 }] },
  })
  expect(of.contentIndex.nodes).toContainEqual(
    expect.objectContaining({ version: 1, form: 'DUCKDB', url: linkTo(`${model}/1/model.duckdb`) }),
  )
})

test('a refused intent says why, and a request that is wrong makes none', async () => {
  const model = await api.create({ kind: 'sales' })
  await append(model, ['A'])
  const { appendSales } = await api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, waitMs: 30000) { id status outcome { __typename } error { code message cells { row column } details } } }',
    { model, rows: [sale({ orderId: 'A' })] },
  )
  expect(appendSales).toMatchObject({ status: 'FAILED', outcome: null, error: { code: 'KEY_CONFLICT' } })
  const retried = await api.graphql('mutation ($id: ID!) { retryIntent(id: $id) { id seq } }', { id: appendSales.id })
  expect(retried.retryIntent.id).not.toBe(appendSales.id)
  expect(await codeOf('mutation ($id: ID!) { cancelIntent(id: $id) { id } }', { id: appendSales.id })).toBe(
    'INTENT_STARTED',
  )
  const { errors } = await api.answer(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }',
    { model, rows: [sale({ orderId: 'B' }), sale({ orderId: 'C', amount: '1.00001' })] },
  )
  expect(errors).toMatchObject([{ extensions: { code: 'BAD_VALUE', cells: [{ row: 2, column: 'amount' }] } }])
  expect(await codeOf(`mutation { deleteSales(model: "${model}", where: {}) { id } }`)).toBe('BAD_VALUE')
  expect(
    await codeOf(`mutation { deleteSites(model: "${model}", where: { siteId: { eq: "1" } }, waitMs: -1) { id } }`),
  ).toBe('BAD_VALUE')
  expect(await codeOf('mutation { refreshActuals(model: "nobody") { id } }')).toBe('NOT_FOUND')
  expect(await api.graphql('{ intent(id: "nonsense") { id } upload(id: "nonsense") { id } }')).toEqual({
    intent: null,
    upload: null,
  })
})

test('at chooses the version; one that is not there yet is waited for', async () => {
  const model = await api.create({ kind: 'sales' })
  const before = await append(model, ['A'])
  const after = await append(model, ['B'])
  const at = async (choice: string) =>
    (
      await api.graphql(
        `{ salesModel(id: "${model}") { snapshot(at: { ${choice} }, waitMs: 0) { version sales { totalCount } } } }`,
      )
    ).salesModel.snapshot
  expect(await at('version: 1')).toEqual({ version: 1, sales: { totalCount: '1' } })
  expect(await at('atLeast: 1')).toEqual({ version: 2, sales: { totalCount: '2' } })
  expect(await at(`intent: "${before.appendSales.id}"`)).toMatchObject({ version: 1 })
  expect(await at(`asOf: "${after.appendSales.endedAt}"`)).toMatchObject({ version: expect.any(Number) })
  const code = (choice: string, waitMs = 0) =>
    codeOf(`{ salesModel(id: "${model}") { snapshot(at: { ${choice} }, waitMs: ${waitMs}) { version } } }`)
  expect(await code('version: 9')).toBe('SNAPSHOT_NOT_YET')
  expect(await code('version: -1')).toBe('BAD_VALUE')
  expect(await code('asOf: "2001-01-01T00:00:00Z"')).toBe('SNAPSHOT_GONE')
  expect(await code('intent: "nonsense"')).toBe('NOT_FOUND')
  expect(await code('version: 1', 60_001)).toBe('BAD_VALUE')
  const waiting = api.graphql(
    `{ salesModel(id: "${model}") { snapshot(at: { version: 3 }, waitMs: 30000) { sale(orderId: "C", line: 1) { orderId } } } }`,
  )
  await append(model, ['C'])
  expect((await waiting).salesModel.snapshot).toEqual({ sale: { orderId: 'C' } })
})

test('a pinned version is kept past those that are let go, until it is released', async () => {
  const model = await api.create({ kind: 'sales' })
  await append(model, ['A'])
  const { pinSnapshot } = await api.graphql(
    `mutation { pinSnapshot(model: "${model}", version: 1, label: "audit") { id labels tables { name rows url(format: CSV) } } }`,
  )
  expect(pinSnapshot).toMatchObject({ id: `${model}@1`, labels: ['audit'] })
  expect(pinSnapshot.tables[4]).toEqual({ name: 'sales', rows: '1', url: linkTo(`${model}/1/sales.csv`) })
  for (const order of ['B', 'C', 'D', 'E']) await append(model, [order])
  const kept = async () => {
    const { model: of } = await api.graphql(`{ model(id: "${model}") { snapshots { nodes { version labels } } } }`)
    return of.snapshots.nodes.map((each: { version: number }) => each.version)
  }
  await expect.poll(kept).toEqual([5, 4, 3, 1])
  const { releaseSnapshot } = await api.graphql(
    `mutation { releaseSnapshot(model: "${model}", version: 1) { labels } }`,
  )
  expect(releaseSnapshot).toEqual({ labels: [] })
  expect(await codeOf(`mutation { pinSnapshot(model: "${model}", version: 2, label: "late") { id } }`)).toBe(
    'SNAPSHOT_GONE',
  )
  expect(await codeOf(`mutation { pinSnapshot(model: "${model}", version: 6, label: "early") { id } }`)).toBe(
    'SNAPSHOT_NOT_YET',
  )
  expect(await codeOf('mutation { pinSnapshot(model: "nobody", version: 2, label: "late") { id } }')).toBe('NOT_FOUND')
})

test('an archived file has a url while its version is kept', async () => {
  const model = await api.create({ kind: 'sales' })
  const urls = async () => {
    const query = `{ model(id: "${model}") { contentIndex(version: 1, table: "sales") { nodes { form url } } } }`
    return (await api.graphql(query)).model.contentIndex.nodes
  }
  await append(model, ['A'])
  await expect.poll(urls).toEqual([{ form: 'PARQUET', url: linkTo(`${model}/1/sales.parquet`) }])
  for (const order of ['B', 'C', 'D', 'E']) await append(model, [order])
  await expect.poll(urls).toEqual([{ form: 'PARQUET', url: null }])
})

test('the same key finds what was accepted, also when it would not be accepted any more', async () => {
  const source = await api.create({ kind: 'sales' })
  const model = await api.create({ kind: 'sales', reads: [source] })
  const imported = (key: string, more = '') => `mutation { importSites(
    model: "${model}", idempotencyKey: "${key}", source: { snapshot: { model: "${source}", table: "sites" ${more} } }) { id } }`
  const first = await api.graphql(imported('one'))
  await api.graphql(`mutation { updateModel(id: "${model}", input: { reads: [] }) { id } }`)
  expect(await api.graphql(imported('one', 'version: null, columns: null'))).toEqual(first)
  expect(await codeOf(imported('one', 'version: 1'))).toBe('IDEMPOTENCY_CONFLICT')
  expect(await codeOf(imported('another'))).toBe('BAD_VALUE')
})

test('an upload shows its columns, and fills a table by a mapping', async () => {
  const model = await api.create({ kind: 'sales' })
  const body = async function* () {
    yield Buffer.from('code,label\nN,North\nS,South\n')
  }
  const upload = await api.services.uploads.receive(body(), {})
  const shown = await api.graphql(`{ upload(id: "${upload.id}") { format bytes rows columns { name type } } }`)
  expect(shown.upload).toMatchObject({ format: 'CSV', bytes: '27' })
  expect(shown.upload.columns.map((column: { name: string }) => column.name)).toEqual(['code', 'label'])
  const { importSites } = await api.graphql(
    `mutation ($upload: ID!) { importSites(model: "${model}", waitMs: 30000, source: { upload: { id: $upload, columns: [
       { column: "siteId", from: "code" }, { column: "name", from: "label" }] } }) { ${INTENT} arguments error { message } } }`,
    { upload: upload.id },
  )
  expect(importSites).toMatchObject({
    status: 'PUBLISHED',
    arguments: { mode: 'APPEND' },
    outcome: { table: 'sites', inserted: '2' },
  })
})

test('goals are computed, typed in their outcome, and read as attainment', async () => {
  const sales = await api.create({ kind: 'sales' })
  const goals = await api.create({ kind: 'goals', reads: [sales] })
  await append(sales, ['A'])
  const { computeGoals } = await api.graphql(
    `mutation ($goals: ID!, $sales: ID!) { computeGoals(model: $goals, waitMs: 60000, input: {
       salesModel: $sales, basisPeriod: { from: "2024-01-01", to: "2025-01-01" }, goalPeriod: { from: "2025-01-01", to: "2026-01-01" },
       interval: YEAR, grain: [SITE], growth: 0.5 }) { status error { message } read { model version } outcome { __typename ... on GoalsComputed { cells total salesVersion } } } }`,
    { goals, sales },
  )
  expect(computeGoals).toMatchObject({
    status: 'PUBLISHED',
    read: [{ model: sales, version: 1 }],
    outcome: { __typename: 'GoalsComputed', cells: '1', total: '29.85', salesVersion: 1 },
  })
  const { goalsModel } = await api.graphql(
    `{ goalsModel(id: "${goals}") { snapshot { attainment(by: [SITE]) { salesVersion totalCount nodes { siteId goalAmount actualAmount ratio } }
       goal(period: "2025-01-01", siteId: "S1") { goalAmount locked } nobody: goal(period: "2025-01-01", siteId: "S2") { goalAmount } } } }`,
  )
  expect(goalsModel.snapshot).toEqual({
    attainment: {
      salesVersion: 1,
      totalCount: '1',
      nodes: [{ siteId: 'S1', goalAmount: '29.85', actualAmount: '0.0000', ratio: 0 }],
    },
    goal: { goalAmount: '29.85', locked: false },
    nobody: null,
  })
})
