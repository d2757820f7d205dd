import { once } from 'node:events'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import WebSocket, { WebSocketServer } from 'ws'
import { Outbox, type Receiver } from '../../src/server/outbox.ts'

/** A client that takes nothing, and the server's end of it. */
async function stalled(stack: AsyncDisposableStack, server: Server): Promise<Receiver> {
  const sockets = new WebSocketServer({ noServer: true })
  const opened = Promise.withResolvers<Receiver>()
  server.once('upgrade', (request, connection: Duplex, head) =>
    sockets.handleUpgrade(request, connection, head, socket => opened.resolve({ socket, connection })),
  )
  const client = stack.adopt(new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`), open =>
    open.terminate(),
  )
  client.on('error', () => {})
  await once(client, 'open')
  client.pause()
  return opened.promise
}

test('where clients leave too much untaken, those who have waited longest are sent away, and no more than need be', async () => {
  await using stack = new AsyncDisposableStack()
  const server = stack.adopt(createServer(), open => open[Symbol.asyncDispose]())
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const [oldest, second, newest] = [
    await stalled(stack, server),
    await stalled(stack, server),
    await stalled(stack, server),
  ]
  const message = 'x'.repeat(16 << 20)
  const outbox = new Outbox({ maxBytes: 40 << 20 })
  const sent = [oldest, second, newest].map(receiver => outbox.send(receiver, message))
  // The first one's promise settles, as nobody reads any more.
  await sent[0]
  expect([oldest, second, newest].map(({ socket }) => socket.readyState === socket.OPEN)).toEqual([false, true, true])
  for (const { socket } of [second, newest]) socket.terminate()
  await Promise.all(sent)
})
