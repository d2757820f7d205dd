import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Caller, Credentials } from '../../src/server/callers.ts'
import { type Answer, openServer, type TestServer } from '../support/http-server.ts'
import { connect } from '../support/websocket.ts'

/** Callers by their token, which is in a header or in the first message of a WebSocket. */
const callers = new Map<string, Caller>()
const identify = async ({ headers, params }: Credentials) => {
  const token = headers.authorization ?? params?.token
  return callers.get(String(token)) ?? null
}

let server: TestServer
beforeAll(async () => {
  callers.set('ada', { user: { id: 'ada' }, expiresAt: null })
  server = await openServer({ identify })
})
afterAll(() => server[Symbol.asyncDispose]())

const ADA = { authorization: 'ada' }
const COMPLETIONS = `subscription ($model: ID!, $after: String) { completions(model: $model, after: $after) {
  cursor edges { node { ... on Intent { seq submittedBy } } } } }`
const UPSERT = `mutation ($model: ID!, $id: String!) {
  upsertSites(model: $model, rows: [{ siteId: $id, name: $id }], waitMs: 60000) { seq version submittedBy } }`

const post = async (query: string, variables: object, headers: Record<string, string>, accept = 'application/json') =>
  fetch(`${server.url}/graphql`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept, ...headers },
    body: JSON.stringify({ query, variables }),
  })
/** As Ada. */
async function ask(query: string, variables: object): Promise<Answer> {
  const { data, errors } = (await (await post(query, variables, ADA)).json()) as Answer
  if (errors) throw new Error(errors[0].message)
  return data
}
const seqs = (page: Answer): number[] => page.edges.map(({ node }: Answer) => Number(node.seq))

test('who calls is told by each transport, is written down, and is somebody', async () => {
  const model = await server.salesModel()
  expect((await post('{ kinds { name } }', {}, {})).status).toBe(401)
  const data = await ask(UPSERT, { model, id: 'S' })
  expect(data.upsertSites.submittedBy).toBe('ada')
  const { subscribe, next, socket } = await connect(server.url, { init: { token: 'ada' } })
  subscribe('1', { query: UPSERT, variables: { model, id: 'T' } })
  expect((await next()).payload.data.upsertSites.submittedBy).toBe('ada')
  socket.close()
  const stranger = await connect(server.url, { init: null })
  stranger.say({ type: 'connection_init', payload: { token: 'eve' } })
  expect(await stranger.closed).toBe(4403)
})

test('credentials that expire end what is open: a WebSocket with its code, a stream without being complete', async () => {
  const model = await server.salesModel()
  callers.set('short', { user: { id: 'ada' }, expiresAt: Date.now() + 1500 })
  const { subscribe, next, closed } = await connect(server.url, { init: { token: 'short' } })
  subscribe('1', { query: COMPLETIONS, variables: { model } })
  const stream = await post(COMPLETIONS, { model }, { authorization: 'short' }, 'text/event-stream')
  expect(await next()).toMatchObject({ type: 'next' })
  expect(await closed).toBe(4403)
  const text = await stream.text()
  expect(text).toContain('event: next')
  expect(text).not.toContain('event: complete')
})

test('an event stream goes on behind the last event that was seen', async () => {
  const model = await server.salesModel()
  const submit = (id: string) => ask(UPSERT, { model, id })
  for (const id of ['A', 'B', 'C']) await submit(id)
  const data = await ask('query ($model: ID!) { model(id: $model) { snapshot(at: { version: 1 }) { cursor } } }', {
    model,
  })
  const after = data.model.snapshot.cursor
  const begin = async (more: Record<string, string>) => {
    const url = new URL(`${server.url}/graphql`)
    url.searchParams.set('query', COMPLETIONS)
    url.searchParams.set('variables', JSON.stringify({ model, after }))
    const response = await fetch(url, { headers: { ...ADA, ...more, accept: 'text/event-stream' } })
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ''
    return {
      async next(): Promise<{ id: string; page: Answer }> {
        for (;;) {
          const found = /event: next\nid: (\S+)\ndata: (.+)\n\n/.exec(text)
          if (found) {
            text = text.slice(found.index + found[0].length)
            return { id: `${found[1]}`, page: JSON.parse(`${found[2]}`).data.completions }
          }
          text += (await reader?.read())?.value ?? ''
        }
      },
      close: () => reader?.cancel(),
    }
  }
  const first = await begin({})
  const { id, page } = await first.next()
  expect(seqs(page)).toEqual([2, 3])
  expect(id).toBe(page.cursor)
  await first.close()
  await submit('D')
  const again = await begin({ 'last-event-id': id })
  expect(seqs((await again.next()).page)).toEqual([4])
  await again.close()
})
