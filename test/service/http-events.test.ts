import { once } from 'node:events'
import { type IncomingMessage, request } from 'node:http'
import { createInterface } from 'node:readline'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Answer, openServer, type TestServer, until } from '../support/http-server.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

/** Starts an operation and answers with the response as it begins. */
async function begin(query: string, variables: object, accept = 'text/event-stream'): Promise<IncomingMessage> {
  const headers = { 'content-type': 'application/json', accept }
  const sent = request(`${server.url}/graphql`, { method: 'POST', agent: false, headers })
  sent.on('error', () => {})
  sent.end(JSON.stringify({ query, variables }))
  const [response] = (await once(sent, 'response')) as [IncomingMessage]
  return response
}

/** The events of a stream: name and data. Comments, which keep it alive, are left out. */
async function* events(response: IncomingMessage): AsyncGenerator<{ event: string; data: Answer }> {
  let event = ''
  for await (const line of createInterface({ input: response })) {
    if (line.startsWith('event: ')) event = line.slice(7)
    if (line.startsWith('data:')) yield { event, data: line.length > 6 ? JSON.parse(line.slice(5)) : null }
  }
}

const COMPLETIONS = 'subscription ($model: ID!) { completions(model: $model) { snapshot { version } } }'

test('a subscription comes as server-sent events, and ends with the client', async () => {
  const model = await server.salesModel()
  const response = await begin(COMPLETIONS, { model })
  expect(response.headers['content-type']).toContain('text/event-stream')
  const stream = events(response)
  const next = async () => (await stream.next()).value
  expect(await next()).toEqual({ event: 'next', data: { data: { completions: { snapshot: { version: 0 } } } } })
  await server.run(model, 'upsertSites', { rows: [{ siteId: 'S', name: 'S' }] })
  expect(await next()).toMatchObject({ data: { data: { completions: { snapshot: { version: 1 } } } } })
  response.destroy()
  await until(() => server.held === 0)
})

test('a subscription that ends says so', async () => {
  const model = await server.salesModel()
  const intent = await server.run(model, 'upsertSites', { rows: [{ siteId: 'S', name: 'S' }] })
  const response = await begin('subscription ($id: ID!) { intent(id: $id) { status } }', { id: intent.id })
  const seen: string[] = []
  for await (const { event } of events(response)) seen.push(event)
  expect(seen).toEqual(['next', 'complete'])
})

test('one that does not accept events is told, and nothing stays behind', async () => {
  const model = await server.salesModel()
  const response = await begin(COMPLETIONS, { model }, 'application/json')
  expect(response.statusCode).toBe(406)
  response.resume()
  await until(() => server.held === 0)
})

test('a query that waits ends when its client goes away', async () => {
  const { id } = await server.models.create({ kind: 'sales' })
  const query = 'query ($id: ID!) { model(id: $id) { snapshot(at: { version: 1 }, waitMs: 60000) { version } } }'
  const sent = request(`${server.url}/graphql`, {
    method: 'POST',
    agent: false,
    headers: { 'content-type': 'application/json' },
  })
  sent.on('error', () => {})
  sent.end(JSON.stringify({ query, variables: { id } }))
  await once(sent, 'finish')
  sent.destroy()
  // It would otherwise go on for a minute, and the close of the server wait for it.
  await server.close()
})
