import { once } from 'node:events'
import { createClient } from 'graphql-ws'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import WebSocket from 'ws'
import { TeatreeError } from '../../src/platform/errors.ts'
import { type Answer, openServer, send, type TestServer, until } from '../support/http-server.ts'
import { sale } from '../support/sales-model.ts'
import { type Connected, type ConnectOptions, connect as connectTo, PROTOCOL } from '../support/websocket.ts'

let server: TestServer
beforeAll(async () => {
  server = await openServer()
})
afterAll(() => server[Symbol.asyncDispose]())

const address = () => `${server.url.replace('http', 'ws')}/graphql`
const connect = (options?: ConnectOptions) => connectTo(server.url, options)

const COMPLETIONS = `subscription ($model: ID!, $after: String) { completions(model: $model, after: $after) {
  cursor snapshot { version } edges { node { ... on Intent { seq } } } } }`
const site = (id: string) => ({ rows: [{ siteId: id, name: id }] })

describe('operations', () => {
  test('queries and mutations are answered, and errors have our codes', async () => {
    const { socket, subscribe, next } = await connect()
    subscribe('1', { query: '{ kinds { name } }' })
    expect(await next()).toEqual({
      id: '1',
      type: 'next',
      payload: { data: { kinds: [{ name: 'sales' }, { name: 'goals' }] } },
    })
    expect(await next()).toEqual({ id: '1', type: 'complete' })
    subscribe('2', { query: 'mutation { createModel(input: { id: "by-socket", kind: "sales" }) { id } }' })
    expect(await next()).toMatchObject({ payload: { data: { createModel: { id: 'by-socket' } } } })
    await next()
    for (const query of ['{ kinds', '{ nothing }']) {
      subscribe('3', { query })
      const { type, payload } = await next()
      expect([type, payload[0].extensions]).toEqual(['error', { code: 'BAD_VALUE' }])
    }
    subscribe('4', { query: '{ models(first: 0) { totalCount } }' })
    expect(await next()).toMatchObject({
      type: 'next',
      payload: { errors: [{ extensions: { code: 'PAGE_SIZE_OUT_OF_RANGE' } }] },
    })
    await next()
    subscribe('5', { query: COMPLETIONS, variables: { model: 'nobody' } })
    expect(await next()).toMatchObject({ payload: { errors: [{ extensions: { code: 'NOT_FOUND' } }] } })
    socket.close()
  })

  test('a subscription tells what happens, and holds no version between two events', async () => {
    const model = await server.salesModel()
    const client = createClient({ url: address(), webSocketImpl: WebSocket })
    const events = client.iterate<Answer>({ query: COMPLETIONS, variables: { model } })
    const next = async () => (await events.next()).value.data.completions
    expect(await next()).toMatchObject({ edges: [], snapshot: { version: 0 } })
    for (const seq of [1, 2, 3]) {
      const [event] = await Promise.all([next(), server.run(model, 'upsertSites', site(`S${seq}`))])
      expect(event).toMatchObject({ edges: [{ node: { seq: String(seq) } }], snapshot: { version: seq } })
      await until(() => server.held === 0)
    }
    await client.dispose()
  })

  test('what a client no longer waits for ends at once: completed by it, or its connection gone', async () => {
    const model = await server.salesModel()
    const intent = await server.submitter.submit({
      model: (await server.models.create({ kind: 'sales' })).id,
      function: 'upsertSites',
      arguments: site('S'),
    })
    const waits = {
      query: 'query ($id: ID!) { intent(id: $id, waitMs: 60000) { status } }',
      variables: { id: intent.id },
    }
    const { say, socket, subscribe, next } = await connect()
    subscribe('wait', waits)
    subscribe('events', { query: COMPLETIONS, variables: { model } })
    expect(await next()).toMatchObject({ id: 'events', type: 'next' })
    say({ id: 'wait', type: 'complete' })
    say({ id: 'events', type: 'complete' })
    // Both ids are free again only when what ran under them has ended.
    subscribe('wait', { query: '{ kinds { name } }' })
    subscribe('events', { query: COMPLETIONS, variables: { model } })
    const ids = [(await next()).id, (await next()).id, (await next()).id].sort()
    expect(ids).toEqual(['events', 'wait', 'wait'])
    subscribe('again', waits)
    socket.terminate()
    await until(() => server.held === 0)
  })
})

describe('connections', () => {
  test('of a page of another site, or by a name not of this machine, are refused', async () => {
    const refused = async (headers: Record<string, string>) => {
      const socket = new WebSocket(address(), PROTOCOL, { headers })
      const [, response] = await once(socket, 'unexpected-response')
      socket.on('error', () => {})
      socket.terminate()
      return response.statusCode
    }
    expect(await refused({ origin: 'https://evil.example' })).toBe(403)
    expect(await refused({ host: 'evil.example' })).toBe(403)
    const { socket } = await connect({ headers: { origin: 'http://localhost:5173' } })
    socket.close()
  })

  test('elsewhere, or to something else, are refused', async () => {
    const headers = { connection: 'Upgrade', upgrade: 'websocket' }
    expect((await send(`${server.url}/health/live`, { headers })).status).toBe(404)
    expect((await send(`${server.url}/graphql`, { headers: { ...headers, upgrade: 'h2c' } })).json().error.code).toBe(
      'NOT_FOUND',
    )
    expect((await send(`${server.url}/graphql`, { headers })).status).toBe(400)
  })

  test('that speak another protocol are closed', async () => {
    await expect(once(new WebSocket(address(), 'graphql-ws'), 'open')).rejects.toThrow('subprotocol')
    const { closed } = await connect({ protocols: [], init: null })
    expect(await closed).toBe(4406)
    const one = await connect({ protocols: ['graphql-ws', PROTOCOL] })
    expect(one.socket.protocol).toBe(PROTOCOL)
    one.socket.close()
  })

  test.for<[code: number, what: string, say: (connected: Connected) => void, init: ConnectOptions['init']]>([
    [4400, 'no JSON', ({ socket }) => socket.send('no message'), {}],
    [4400, 'an unknown message', ({ say }) => say({ type: 'start' }), {}],
    [
      4400,
      'a subscription without an id',
      ({ say }) => say({ type: 'subscribe', payload: { query: '{ kinds { name } }' } }),
      {},
    ],
    [4400, 'a subscription without a query', ({ subscribe }) => subscribe('1', {}), {}],
    [
      4401,
      'a subscription before the connection is acknowledged',
      ({ subscribe }) => subscribe('1', { query: '{ kinds { name } }' }),
      null,
    ],
    [4408, 'nothing', () => {}, null],
    [4429, 'a second connection_init', ({ say }) => say({ type: 'connection_init' }), {}],
    [1009, 'too much in one message', ({ subscribe }) => subscribe('1', { query: `#${'x'.repeat(17 << 20)}` }), {}],
  ])('%i: that say %s', async ([code, , say, init]) => {
    const connected = await connect({ init })
    say(connected)
    expect(await connected.closed).toBe(code)
  })

  test('4409: that use an id twice at once', async () => {
    const model = await server.salesModel()
    const { subscribe, next, closed } = await connect()
    subscribe('1', { query: COMPLETIONS, variables: { model } })
    await next()
    subscribe('1', { query: COMPLETIONS, variables: { model } })
    expect(await closed).toBe(4409)
  })

  test('may have so many operations at once, and are told past that', async () => {
    const model = await server.salesModel()
    const { subscribe, next, say, socket } = await connect()
    for (let n = 0; n < 500; n++) subscribe(`${n}`, { query: COMPLETIONS, variables: { model } })
    for (let n = 0; n < 500; n++) expect(await next()).toMatchObject({ type: 'next' })
    subscribe('more', { query: COMPLETIONS, variables: { model } })
    expect(await next()).toMatchObject({
      id: 'more',
      type: 'error',
      payload: [{ extensions: { code: 'RATE_LIMITED' } }],
    })
    say({ id: '7', type: 'complete' })
    subscribe('more', { query: COMPLETIONS, variables: { model } })
    expect(await next()).toMatchObject({ id: 'more', type: 'next' })
    socket.close()
  })

  test('are asked whether they are still there, and answer when they are asked', async () => {
    const { say, next, socket } = await connect()
    say({ type: 'ping' })
    expect(await next()).toEqual({ type: 'pong' })
    say({ type: 'ping', payload: { at: 1 } })
    expect(await next()).toEqual({ type: 'pong', payload: { at: 1 } })
    say({ type: 'pong' })
    say({ type: 'ping' })
    expect(await next()).toEqual({ type: 'pong' })
    socket.close()
  })
})

test('what cannot be told while the database is away is told when it is back: the log has no second telling', async () => {
  const model = await server.salesModel()
  const { subscribe, next, socket } = await connect()
  const query = `subscription ($model: ID!) { completions(model: $model) {
    edges { node { ... on Intent { status } } } snapshot { ... on SalesSnapshot { version sales { nodes { orderId } } } } } }`
  subscribe('1', { query, variables: { model } })
  expect((await next()).payload.data.completions.snapshot.version).toBe(0)
  const away = new TeatreeError('UNAVAILABLE', 'The control database cannot be reached; try again.')
  const opening = vi.spyOn(server.services.snapshots, 'acquire').mockRejectedValueOnce(away).mockRejectedValueOnce(away)
  onTestFinished(() => opening.mockRestore())
  await server.run(model, 'appendSales', { rows: [sale({ orderId: 'A' })] })
  const { payload } = await next()
  expect(payload).toEqual({
    data: {
      completions: {
        edges: [{ node: { status: 'PUBLISHED' } }],
        snapshot: { version: 1, sales: { nodes: [{ orderId: 'A' }] } },
      },
    },
  })
  expect(opening.mock.calls.length).toBeGreaterThan(2)
  socket.close()
})
