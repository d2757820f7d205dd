import { Readable } from 'node:stream'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { openApi, type TestApi } from '../support/api.ts'
import { appendSales, importTable } from '../support/sales-model.ts'

let api: TestApi
beforeAll(async () => {
  api = await openApi()
})
afterAll(() => api[Symbol.asyncDispose]())

const HEADER = 'orderId,line,date,siteId,productId,customerId,salespersonId,quantity,amount\n'
const csv = (...lines: string[]) => HEADER + lines.map(line => `${line}\n`).join('')

async function importCsv(model: string, text: string) {
  const { id } = await api.services.uploads.receive(Readable.from([Buffer.from(text)]), {})
  return importTable(api, model, 'Sales', id)
}

async function rowsOf(model: string): Promise<string[]> {
  const { salesModel } = await api.graphql(
    'query ($id: ID!) { salesModel(id: $id) { snapshot { sales { nodes { orderId line } } } } }',
    { id: model },
  )
  return salesModel.snapshot.sales.nodes.map((row: { orderId: string; line: number }) => `${row.orderId}/${row.line}`)
}

test('a refused import names file line and column, leaves nothing, and the next intent goes through', async () => {
  const model = await api.create({ kind: 'sales' })
  const value = await importCsv(model, csv('A,1,2024-01-01,S,T,C,,1,1.00', 'A,2,2024-01-01,S,T,C,,1,"1,5"'))
  expect(value).toMatchObject({
    status: 'FAILED',
    error: { code: 'BAD_VALUE', cells: [{ row: '2', line: '3', column: 'amount' }] },
  })
  const tooLong = await importCsv(model, csv('A,1,2024-01-01,S,T,C,,1,1.00001'))
  expect(tooLong).toMatchObject({ status: 'FAILED', error: { cells: [{ row: '1', line: '2', column: 'amount' }] } })
  const wrongLine = await importCsv(model, csv('A,1,2024-01-01,S,T,C,,1,1.00', 'B,1,2024-01-01'))
  expect(wrongLine).toMatchObject({ status: 'FAILED' })
  expect(JSON.stringify(wrongLine.error)).toContain('3')
  const duplicate = await importCsv(model, csv('A,1,2024-01-01,S,T,C,,1,1.00', 'A,1,2024-01-02,S,T,C,,1,1.00'))
  expect(duplicate).toMatchObject({
    status: 'FAILED',
    error: { code: 'KEY_CONFLICT', cells: [{ row: '2', line: '3' }] },
  })
  const unknown = await importCsv(model, `colour,${HEADER}red,A,1,2024-01-01,S,T,C,,1,1.00\n`)
  expect(unknown).toMatchObject({ status: 'FAILED', error: { code: 'BAD_VALUE' } })
  expect(unknown.error.message).toContain('colour')
  expect(await rowsOf(model)).toEqual([])
  expect(await importCsv(model, csv('A,1,2024-01-01,S,T,C,,1,1.00'))).toMatchObject({ status: 'PUBLISHED', version: 1 })
  expect(await rowsOf(model)).toEqual(['A/1'])
})

test('an append of a key that is there fails whole, and its neighbours in the same batch do not', async () => {
  const model = await api.create({ kind: 'sales' })
  await appendSales(api, model, [{ orderId: 'A' }])
  const [b, a, c] = await Promise.all([
    appendSales(api, model, [{ orderId: 'B' }]),
    appendSales(api, model, [{ orderId: 'X' }, { orderId: 'A' }]),
    appendSales(api, model, [{ orderId: 'C' }]),
  ])
  expect(a).toMatchObject({ status: 'FAILED', version: null, error: { code: 'KEY_CONFLICT', cells: [{ row: '2' }] } })
  expect([b.status, c.status]).toEqual(['PUBLISHED', 'PUBLISHED'])
  expect(await rowsOf(model)).toEqual(['A/1', 'B/1', 'C/1'])
})

test('what the request alone shows to be wrong makes no intent', async () => {
  const model = await api.create({ kind: 'sales' })
  const refused = async (query: string, variables: Record<string, unknown> = {}) => {
    const { errors } = await api.answer(query, { model, ...variables })
    return errors?.[0]?.extensions?.code
  }
  expect(await refused('mutation ($model: ID!) { deleteSales(model: $model, where: {}) { id } }')).toBe('BAD_VALUE')
  expect(
    await refused('mutation ($model: ID!) { updateSales(model: $model, where: { line: { eq: 1 } }, set: {}) { id } }'),
  ).toBe('BAD_VALUE')
  expect(
    await refused(
      'mutation ($model: ID!) { importSales(model: $model, source: { upload: { id: "00000000-0000-0000-0000-000000000000" } }) { id } }',
    ),
  ).toBe('UPLOAD_NOT_FOUND')
  expect(
    await refused(
      'mutation ($model: ID!) { lockGoals(model: $model, input: { where: { locked: { eq: true } }, locked: true }) { id } }',
    ),
  ).toBe('BAD_VALUE')
  expect(await refused('mutation { appendSales(model: "nobody", rows: []) { id } }')).toMatch(/NOT_FOUND|BAD_VALUE/)
  const { intents } = await api.graphql('query ($model: ID!) { intents(where: { model: $model }) { totalCount } }', {
    model,
  })
  expect(intents.totalCount).toBe(0)
})

test('a model that this server knows is looked for again: once it is deleted, it is not there', async () => {
  const { models, submitter } = api.services
  const sales = await api.create({ kind: 'sales' })
  const goals = await api.create({ kind: 'goals', reads: [sales] })
  const remove = { model: sales, function: 'deleteSales', arguments: { where: { line: { eq: 1 } } } }
  const period = { from: '2024-01-01', to: '2025-01-01' }
  const input = { salesModel: sales, basisPeriod: period, goalPeriod: { from: '2025-01-01', to: '2026-01-01' } }
  const compute = { model: goals, function: 'computeGoals', arguments: { ...input, grain: ['SITE'] } }
  for (const request of [remove, compute]) await submitter.submit(request)
  for (const model of [goals, sales]) await models.delete(model)
  for (const request of [remove, compute])
    await expect(submitter.submit(request)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})
