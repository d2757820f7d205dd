import { afterAll, beforeAll, expect, test } from 'vitest'
import { openServer, send, type TestServer } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'

let server: TestServer
let id: string
beforeAll(async () => {
  server = await openServer()
  id = await server.salesModel()
  await append('A')
})
afterAll(() => server[Symbol.asyncDispose]())

const append = (orderId: string) => server.run(id, 'appendSales', { rows: [sale({ orderId })] })

const get = (query: string, variables: Record<string, unknown> = {}, headers: Record<string, string> = {}) => {
  const search = new URLSearchParams({ query, variables: JSON.stringify({ id, ...variables }) })
  return send(`${server.url}/graphql?${search}`, { headers })
}
const reading = (snapshot: string, rest = '') => `query ($id: ID!) { salesModel(id: $id) { ${rest} ${snapshot} } }`
const FOR_EVER = 'private, max-age=31536000, immutable'

test('what is read of a version by its number may be kept for ever', async () => {
  const queries = [
    reading(
      'snapshot(at: { version: 1 }) { version sales { nodes { orderId site { name } } totalCount } }',
      'id engine',
    ),
    `query ($id: ID!) { salesModel(id: $id) { ... on Model { snapshot(at: { version: 1 }) { ...Sums } } } }
     fragment Sums on SalesSnapshot { salesAggregate { nodes { count } } }`,
  ]
  for (const query of queries) {
    const answer = await get(query)
    expect(answer.json().errors).toBeUndefined()
    expect([query, answer.headers['cache-control']]).toEqual([query, FOR_EVER])
    expect(answer.headers.vary, 'of a browser it would be a page').toBe('accept')
  }
  const byVariable = 'query ($id: ID!, $at: SnapshotAt) { salesModel(id: $id) { snapshot(at: $at) { lastSeq } } }'
  expect((await get(byVariable, { at: { version: 1 } })).headers['cache-control']).toBe(FOR_EVER)
  expect((await get(byVariable, { at: { atLeast: 1 } })).headers['cache-control']).toBe('private, no-cache')
  expect((await get(byVariable)).headers['cache-control']).toBe('private, no-cache')
})

test('what may change is asked for again, and is not sent again while it is the same', async () => {
  const at = 'snapshot(at: { version: 1 })'
  const changing = [
    reading('snapshot { version }'),
    reading(`${at} { version }`, 'name'),
    reading(`${at} { labels }`),
    reading(`${at} { model { version } }`),
    reading(`${at} { tables { url(format: CSV) } }`),
    reading(`${at} { tables { columns { description } } }`),
    reading(`${at} { salesDiff(from: { atLeast: 0 }) { nodes { change } } }`).replace(
      'nodes { change }',
      'edges { cursor }',
    ),
    `query ($id: ID!) { kinds { name } salesModel(id: $id) { ${at} { version } } }`,
  ]
  for (const query of changing) {
    const answer = await get(query)
    expect(answer.json().errors).toBeUndefined()
    expect([query, answer.headers['cache-control']]).toEqual([query, 'private, no-cache'])
  }
  const query = reading('snapshot { version }')
  const first = await get(query)
  const etag = String(first.headers.etag)
  const same = await get(query, {}, { 'if-none-match': etag })
  expect([same.status, same.body.length, same.headers.etag]).toEqual([304, 0, etag])
  await append('B')
  const other = await get(query, {}, { 'if-none-match': etag })
  expect(other.status).toBe(200)
  expect(other.headers.etag).not.toBe(etag)
})

test('that there is no such model does not last: there may be one tomorrow', async () => {
  const answer = await get(reading('', 'id'), { id: 'nobody' })
  expect(answer.json()).toEqual({ data: { salesModel: null } })
  expect(answer.headers['cache-control']).toBe('private, no-cache')
  const beside = `query ($id: ID!) { salesModel(id: $id) { id } other: salesModel(id: "nobody") { id } }`
  expect((await get(beside)).headers['cache-control']).toBe('private, no-cache')
  expect((await get(reading('', 'id'))).headers['cache-control']).toBe(FOR_EVER)
})

test('what code of the kind answers does not last: it may be mended', async () => {
  const { id: goals } = await server.models.create({ kind: 'goals', reads: [id] })
  const ofGoals = async (fields: string) => {
    const query = `query ($id: ID!) { goalsModel(id: $id) { snapshot(at: { version: 0 }) { ${fields} } } }`
    const answer = await get(query, { id: goals })
    expect(answer.json().errors).toBeUndefined()
    return answer.headers['cache-control']
  }
  expect(await ofGoals('goals { nodes { goalAmount } }')).toBe(FOR_EVER)
  expect(await ofGoals('goals { totalCount } attainment { nodes { goalAmount } }')).toBe('private, no-cache')
})

test('errors do not last, and nothing that came by POST is kept', async () => {
  expect((await get(reading('snapshot(at: { version: 999 }, waitMs: 0) { version }'))).headers).toMatchObject({
    'cache-control': 'private, no-cache',
  })
  expect((await get('{ nothing }')).headers['cache-control']).toBe('private, no-cache')
  const body = JSON.stringify({ query: reading('snapshot(at: { version: 1 }) { version }'), variables: { id } })
  const posted = await send(
    `${server.url}/graphql`,
    { method: 'POST', headers: { 'content-type': 'application/json' } },
    body,
  )
  expect(posted.headers['cache-control']).toBe('no-store')
  expect(posted.headers.etag).toBeUndefined()
})
