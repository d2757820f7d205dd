import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { type Answer, openApi, type TestApi } from '../support/api.ts'
import { sale } from '../support/sales-model.ts'

let api: TestApi
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())
afterEach(() => expect(api.held).toBe(0))

const append = async (model: string, orderId: string): Promise<Answer> => {
  const { appendSales } = await api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows, waitMs: 30000) { id seq version } }',
    { model, rows: [sale({ orderId })] },
  )
  return appendSales
}
const COMPLETIONS = `subscription ($model: ID!, $after: String, $pageSize: Int) { completions(model: $model, after: $after, pageSize: $pageSize) {
  edges { cursor node { __typename ... on Intent { seq status } } } cursor reset pageInfo { hasNextPage hasPreviousPage }
  snapshot { version ... on SalesSnapshot { sales { totalCount } } } } }`
const seqs = (page: Answer) => page.edges.map((edge: Answer) => Number(edge.node.seq))

test('completions begin at once, and go on from the cursor of a page, of an entry or of a snapshot', async () => {
  const model = await api.create({ kind: 'sales' })
  const { model: start } = await api.graphql(`{ model(id: "${model}") { snapshot { cursor } } }`)
  const pages = api.subscribe(COMPLETIONS, { model })
  const first = (await pages.next()).value.completions
  expect(first).toMatchObject({ edges: [], reset: false, pageInfo: { hasNextPage: false }, snapshot: { version: 0 } })
  expect(api.held, 'what an event holds goes when it has been executed').toBe(0)
  const next = pages.next()
  for (const order of ['A', 'B', 'C']) await append(model, order)
  const second = (await next).value.completions
  expect(seqs(second)[0]).toBe(1)
  await pages.return?.()

  const all = api.subscribe(COMPLETIONS, { model, after: start.snapshot.cursor, pageSize: 2 })
  const page = (await all.next()).value.completions
  expect(page).toMatchObject({
    edges: [{ node: { __typename: 'Intent', seq: '1', status: 'PUBLISHED' } }, { node: { seq: '2' } }],
    pageInfo: { hasNextPage: true, hasPreviousPage: false },
    snapshot: { version: 3, sales: { totalCount: '3' } },
  })
  expect(seqs((await all.next()).value.completions)).toEqual([3])
  await all.return?.()

  const behind = api.subscribe(COMPLETIONS, { model, after: page.edges[0].cursor })
  expect(seqs((await behind.next()).value.completions)).toEqual([2, 3])
  await behind.return?.()
})

test('a cursor of another model, or one from the future, is bad; so are other slips', async () => {
  const model = await api.create({ kind: 'sales' })
  const other = await api.create({ kind: 'sales' })
  await append(other, 'A')
  const { model: of } = await api.graphql(`{ model(id: "${other}") { snapshot { cursor } } }`)
  const refused = (variables: Record<string, unknown>) => api.subscribe(COMPLETIONS, variables).next()
  await expect(refused({ model, after: of.snapshot.cursor })).rejects.toThrow('BAD_CURSOR')
  await expect(refused({ model, after: 'x' })).rejects.toThrow('BAD_CURSOR')
  await expect(refused({ model, pageSize: 0 })).rejects.toThrow('PAGE_SIZE_OUT_OF_RANGE')
  await expect(refused({ model: 'nobody' })).rejects.toThrow('NOT_FOUND')
})

test('completions end when the model is deleted', async () => {
  const model = await api.create({ kind: 'sales' })
  const pages = api.subscribe('subscription ($model: ID!) { completions(model: $model) { cursor } }', { model })
  await pages.next()
  const end = pages.next()
  await api.manager.release(model)
  await api.graphql(`mutation { deleteModel(id: "${model}") }`)
  expect(await end).toMatchObject({ done: true })
})

test("an intent's life is told from its beginning to its end", async () => {
  const { createModel } = await api.graphql('mutation { createModel(input: { kind: "sales" }) { id } }')
  const model = createModel.id
  const { appendSales } = await api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id status } }',
    { model, rows: [sale({ orderId: 'A' })] },
  )
  expect(appendSales.status).toBe('QUEUED')
  const life: string[] = []
  for await (const { intent } of api.subscribe(
    'subscription ($id: ID!) { intent(id: $id) { status snapshot { version } } }',
    { id: appendSales.id },
  )) {
    life.push(`${intent.status} ${intent.snapshot?.version}`)
    // nobody holds the model before
    if (life.length === 1) await api.manager.hold(model)
  }
  expect(life[0]).toBe('QUEUED undefined')
  expect(life.at(-1)).toBe('PUBLISHED 1')
  expect(new Set(life).size).toBe(life.length)
  const nobody = api.subscribe('subscription { intent(id: "00000000-0000-0000-0000-000000000000") { status } }')
  expect([await nobody.next(), await nobody.next()]).toMatchObject([{ value: { intent: null } }, { done: true }])
})

test('models are told of at the start, then those that changed, until none is left', async () => {
  const a = await api.create({ kind: 'sales' })
  const b = await api.create({ kind: 'sales' })
  const changes = api.subscribe(
    'subscription ($ids: [ID!]) { modelChanges(ids: $ids, minIntervalMs: 0) { id version manager { state queued } } }',
    { ids: [a, b] },
  )
  const first = (await changes.next()).value.modelChanges
  expect(first.map((model: Answer) => [model.id, model.version])).toEqual([
    [a, 0],
    [b, 0],
  ])
  const seen: string[] = []
  const published = (async () => {
    for (;;) {
      const { modelChanges } = (await changes.next()).value
      seen.push(...modelChanges.map((model: Answer) => model.id))
      if (modelChanges.some((model: Answer) => model.version === 1)) return
    }
  })()
  await append(b, 'A')
  await published
  expect(new Set(seen)).toEqual(new Set([b]))
  const end = (async () => {
    for await (const _ of changes);
  })()
  for (const id of [a, b]) {
    await api.manager.release(id)
    await api.graphql(`mutation { deleteModel(id: "${id}") }`)
  }
  await end
  await expect(api.subscribe('subscription { modelChanges(ids: ["nobody"]) { id } }').next()).rejects.toThrow(
    'NOT_FOUND',
  )
  await expect(api.subscribe('subscription { modelChanges(minIntervalMs: -1) { id } }').next()).rejects.toThrow(
    'BAD_VALUE',
  )
})

test('a model that is made later is told of where it is among those asked for', async () => {
  const changes = api.subscribe(
    'subscription { modelChanges(where: { nameLike: "later %" }, minIntervalMs: 0) { name } }',
  )
  expect((await changes.next()).value.modelChanges).toEqual([])
  const next = changes.next()
  await api.create({ kind: 'goals', name: 'sooner' })
  await api.create({ kind: 'goals', name: 'later on' })
  expect((await next).value.modelChanges).toEqual([{ name: 'later on' }])
  await changes.return?.()
})

test('subscribers that ask the same are answered by one execution, and each with what it asked', async () => {
  const model = await api.create({ kind: 'sales' })
  const { model: start } = await api.graphql(`{ model(id: "${model}") { snapshot { cursor } } }`)
  await append(model, 'A')
  await append(model, 'B')
  const source = `subscription ($model: ID!, $after: String, $first: Int!) { completions(model: $model, after: $after) {
    edges { cursor } snapshot { ... on SalesSnapshot { sales(first: $first) { nodes { orderId } } } } } }`
  const subscribe = (first: number) => api.subscribe(source, { model, after: start.snapshot.cursor, first })
  const alike = Array.from({ length: 20 }, () => subscribe(1))
  const others = Array.from({ length: 2 }, () => subscribe(2))
  const next = (all: AsyncIterableIterator<Answer>[]) =>
    Promise.all(all.map(async each => (await each.next()).value.completions))
  for (const orderId of ['C', 'D', 'E']) {
    api.reads.length = 0
    const [pages, larger] = await Promise.all([next(alike), next(others)])
    for (const page of pages)
      expect(page).toEqual({ edges: expect.anything(), snapshot: { sales: { nodes: [{ orderId: 'A' }] } } })
    for (const page of larger) expect(page.snapshot.sales.nodes).toHaveLength(2)
    expect(api.reads).toEqual(['rows', 'rows'])
    await append(model, orderId)
  }
  for (const each of [...alike, ...others]) await each.return?.()
})

test('those who follow the same models, or one intent, are given one answer', async () => {
  const { createModel } = await api.graphql('mutation { createModel(input: { kind: "sales" }) { id } }')
  const { appendSales } = await api.graphql(
    'mutation ($model: ID!, $rows: [SaleInput!]!) { appendSales(model: $model, rows: $rows) { id } }',
    { model: createModel.id, rows: [sale({ orderId: 'A' })] },
  )
  for (const [source, id] of [
    ['subscription ($id: ID!) { modelChanges(ids: [$id]) { id manager { queued } } }', createModel.id],
    ['subscription ($id: ID!) { intent(id: $id) { id status model { id } } }', appendSales.id],
  ] as const) {
    const alike = Array.from({ length: 20 }, () => api.subscribe(source, { id }))
    const answers = await Promise.all(alike.map(async each => (await each.next()).value))
    expect(new Set(answers).size, source).toBe(1)
    for (const each of alike) await each.return?.()
  }
})
