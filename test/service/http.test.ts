import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openServer, send, type TestServer } from '../support/http-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const post = (body: string, headers: Record<string, string> = { 'content-type': 'application/json' }) =>
  send(`${server.url}/graphql`, { method: 'POST', headers }, body)

describe('GraphQL over HTTP', () => {
  test('queries come by POST and by GET', async () => {
    const query = 'query Kinds($id: ID!) { kinds { name } model(id: $id) { id } }'
    const variables = { id: 'nobody' }
    const data = { kinds: [{ name: 'sales' }, { name: 'goals' }], model: null }
    const posted = await post(JSON.stringify({ query, variables, operationName: 'Kinds' }))
    expect(posted.status).toBe(200)
    expect(posted.headers['content-type']).toContain('json')
    expect(posted.json()).toEqual({ data })
    const search = new URLSearchParams({ query, variables: JSON.stringify(variables) })
    expect((await send(`${server.url}/graphql?${search}`)).json()).toEqual({ data })
  })

  test('a mutation does not come by GET', async () => {
    const query = 'mutation { createModel(input: { id: "by-get", kind: "sales" }) { id } }'
    const answer = await send(`${server.url}/graphql?${new URLSearchParams({ query })}`)
    expect(answer.status).toBe(405)
    expect(await server.models.get('by-get')).toBeNull()
  })

  test('what a form could send is not taken', async () => {
    const body = JSON.stringify({ query: 'mutation { createModel(input: { id: "by-form", kind: "sales" }) { id } }' })
    for (const type of [
      'text/plain',
      'application/graphql',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
    ]) {
      const answer = await post(body, { 'content-type': type })
      expect(answer.status).toBe(415)
      expect(answer.json().error.code).toBe('WRONG_FORMAT')
    }
    expect((await post(body, {})).status).toBe(415)
    expect(await server.models.get('by-form')).toBeNull()
  })

  test('whatever is wrong has one of our codes', async () => {
    const bodies = [
      '{ not json',
      '[]',
      '{}',
      JSON.stringify({ query: '{ kinds' }),
      JSON.stringify({ query: '{ nothing }' }),
      JSON.stringify({ query: 'query ($id: ID!) { model(id: $id) { id } }' }),
      JSON.stringify({ query: '{ kinds { name } }', operationName: 'Other' }),
      JSON.stringify([{ query: '{ kinds { name } }' }]),
    ]
    for (const body of bodies) {
      const { errors } = (await post(body)).json()
      expect(
        errors.map((error: { extensions: { code: string } }) => error.extensions.code),
        body,
      ).toEqual(['BAD_VALUE'])
    }
    const { errors } = await server.answer('{ models(first: 0) { totalCount } }')
    expect(errors?.[0].extensions.code).toBe('PAGE_SIZE_OUT_OF_RANGE')
  })

  test('a request that is too large is answered, however its length is told', async () => {
    const body = Buffer.alloc(17 << 20, ' ')
    const headers = { 'content-type': 'application/json' }
    for (const more of [{ 'content-length': String(body.length) }, { 'transfer-encoding': 'chunked' }]) {
      const answer = await send(`${server.url}/graphql`, { method: 'POST', headers: { ...headers, ...more } }, body)
      expect(answer.status).toBe(413)
      expect(answer.json().error.code).toBe('QUERY_TOO_LARGE')
    }
  })

  test('a document that holds data is refused; as variables the same is fine', async () => {
    const long = await post(JSON.stringify({ query: `{ kinds { name } } #${'x'.repeat(2 << 20)}` }))
    expect(long.status).toBe(413)
    expect(long.json().errors[0].extensions.code).toBe('QUERY_TOO_LARGE')
    const query = 'query ($name: String) { models(where: { nameLike: $name }) { totalCount } }'
    const { data } = await server.answer(query, { name: 'x'.repeat(2 << 20) })
    expect(data.models.totalCount).toBe(0)
  })

  test('versions are let go when the answer is there, and when it is an error', async () => {
    const id = await server.salesModel(['upsertSites', { rows: [{ siteId: 'S1', name: 'One' }] }])
    const query = `query ($id: ID!, $order: String!) { salesModel(id: $id) { snapshot {
      sites { nodes { siteId } } sales(after: $order) { nodes { orderId } } } } }`
    const { data, errors } = await server.answer(query, { id, order: 'no cursor' })
    expect(data.salesModel.snapshot.sites.nodes).toEqual([{ siteId: 'S1' }])
    expect(errors?.[0].extensions.code).toBe('BAD_CURSOR')
    expect(server.held).toBe(0)
  })
})

describe('paths', () => {
  test('an unknown path or method is NOT_FOUND, in JSON', async () => {
    const requests: [string, string][] = [
      ['GET', '/'],
      ['GET', '/graphql/more'],
      ['GET', '/nothing%E0%A4%A'],
      ['GET', '//evil.example/graphql'],
      ['DELETE', '/graphql'],
      ['GET', '/uploads'],
      ['OPTIONS', '/graphql'],
    ]
    for (const [method, path] of requests) {
      const answer = await send(server.url, { method, path })
      expect([method, path, answer.status, answer.json().error.code]).toEqual([method, path, 404, 'NOT_FOUND'])
    }
  })
})

describe('who may call', () => {
  const status = async (headers: Record<string, string>) =>
    (await send(`${server.url}/health/live`, { headers })).status

  test('a name that is not of this machine is refused: whoever owns it may point it here', async () => {
    const port = new URL(server.url).port
    for (const host of [`127.0.0.1:${port}`, `localhost:${port}`, 'localhost', `[::1]:${port}`, 'app.localhost'])
      expect([host, await status({ host })]).toEqual([host, 200])
    for (const host of ['evil.example', `evil.example:${port}`, 'localhost.evil.example', '10.0.0.1', 'a@localhost'])
      expect([host, await status({ host })]).toEqual([host, 403])
  })

  test('a page of another site is refused', async () => {
    const of = (origin: string) => status({ origin })
    for (const origin of ['http://localhost:3000', server.url])
      expect([origin, await of(origin)]).toEqual([origin, 200])
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example', 'file://'])
      expect([origin, await of(origin)]).toEqual([origin, 403])
    expect(await status({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'no-cors' })).toBe(403)
    expect(await status({ 'sec-fetch-site': 'cross-site', 'sec-fetch-mode': 'navigate' })).toBe(200)
    const answer = await send(`${server.url}/graphql`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://evil.example' },
    })
    expect(answer.json().error.code).toBe('FORBIDDEN')
    expect(answer.headers['access-control-allow-origin']).toBeUndefined()
  })
})
