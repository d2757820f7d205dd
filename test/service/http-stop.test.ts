import { once } from 'node:events'
import { Agent, type IncomingMessage, request } from 'node:http'
import { connect } from 'node:net'
import { text } from 'node:stream/consumers'
import { expect, test } from 'vitest'
import WebSocket from 'ws'
import { openServer, read, send, type TestServer, until } from '../support/http-server.ts'

const SITE = { rows: [{ siteId: 'S', name: 'S' }] }
const WAIT = 'query ($id: ID!) { model(id: $id) { snapshot(at: { version: 1 }, waitMs: 60000) { version } } }'
const LIVE = 'subscription { modelChanges { id } }'

/** A query whose answer waits for version 1 of the model. */
function ask(server: TestServer, id: string, agent: Agent | false = false): Promise<[IncomingMessage]> {
  const headers = { 'content-type': 'application/json' }
  const sent = request(`${server.url}/graphql`, { method: 'POST', agent, headers })
  sent.end(JSON.stringify({ query: WAIT, variables: { id } }))
  return once(sent, 'response') as Promise<[IncomingMessage]>
}

async function socketTo(server: TestServer): Promise<{ socket: WebSocket; messages: string[] }> {
  const socket = new WebSocket(`${server.url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  const messages: string[] = []
  socket.on('message', data => messages.push(String(data)))
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'connection_init' }))
  await until(() => messages.length === 1)
  return { socket, messages }
}

test('requests under way are answered, over HTTP and WebSocket; subscriptions end without saying that they are complete', async () => {
  await using server = await openServer()
  const model = await server.salesModel()
  const waiting = await server.models.create({ kind: 'sales' })
  const asked = ask(server, model)
  const busy = await socketTo(server)
  const payload = { query: WAIT, variables: { id: model } }
  busy.socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }))
  const idle = await socketTo(server)
  idle.socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query: LIVE } }))
  await until(() => idle.messages.length >= 2)
  const headers = { 'content-type': 'application/json', accept: 'text/event-stream' }
  const events = request(`${server.url}/graphql`, { method: 'POST', agent: false, headers })
  events.end(JSON.stringify({ query: LIVE }))
  const [stream] = (await once(events, 'response')) as [IncomingMessage]
  const agent = new Agent({ keepAlive: true })
  await send(`${server.url}/health/live`, { agent })
  expect(Object.values(agent.freeSockets)).toHaveLength(1)

  const closing = server.close()
  const streamed = text(stream)
  const codes = [once(busy.socket, 'close'), once(idle.socket, 'close')].map(async closed => (await closed)[0])
  await expect(codes[1]).resolves.toBe(1001)
  expect(await streamed).not.toContain('complete')
  expect(idle.messages.some(message => message.includes('complete'))).toBe(false)
  await expect(ask(server, waiting.id)).rejects.toThrow('ECONNREFUSED')

  await server.run(model, 'upsertSites', SITE)
  const answer = await read((await asked)[0])
  expect(answer.json().data.model.snapshot).toEqual({ version: 1 })
  expect(answer.headers.connection).toBe('close')
  await expect(codes[0]).resolves.toBe(1001)
  expect(busy.messages.map(message => JSON.parse(message).type)).toEqual(['connection_ack', 'next', 'complete'])
  await closing
  await until(() => Object.values(agent.freeSockets).length === 0)
  expect(server.held).toBe(0)
})

test('what does not finish in time is cut', async () => {
  await using server = await openServer()
  const model = await server.salesModel()
  const asked = ask(server, model)
  const failed = expect(asked).rejects.toThrow('socket hang up')
  const { hostname, port } = new URL(server.url)
  const upload = connect(Number(port), hostname)
  upload.write(`POST /uploads HTTP/1.1\r\nHost: ${hostname}\r\nContent-Length: 1000\r\n\r\nsiteId,name\n`)
  upload.on('error', () => {})
  const { socket } = await socketTo(server)
  // Its client does not answer that the connection is to be closed.
  socket.pause()
  await server.close()
  await failed
  await server.close()
  if (!upload.destroyed) await once(upload, 'close')
  socket.resume()
  await once(socket, 'close')
})

test('it says where it listens, on IPv6 too', async () => {
  await using server = await openServer({ host: '::1' })
  expect(server.url).toMatch(/^http:\/\/\[::1\]:\d+$/)
  expect((await send(`${server.url}/health/live`)).status).toBe(200)
})
