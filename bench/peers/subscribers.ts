import { once } from 'node:events'
import WebSocket from 'ws'

/** A process of its own that holds subscriptions, and tells when what they are told of has come. */
export type SubscribersOrder =
  /** Opens so many sockets, each with one subscription, the variables taken in turn. Answered when each has had an event. */
  | { open: number; url: string; query: string; variables: object[] }
  /** Answered with what each of the next so many messages took since the moment that it names, in milliseconds. */
  | { await: number }
  | { close: true }

/** Opened at once, so that a server's queue of connections does not overflow. */
const AT_ONCE = 50

const sockets: WebSocket[] = []
let onMessage: (text: string) => void = () => {}

process.on('message', async (order: SubscribersOrder) => {
  if ('open' in order) {
    let next = 0
    const opener = async () => {
      while (next < order.open) await open(order, order.variables[next++ % order.variables.length] ?? {})
    }
    await Promise.all(Array.from({ length: AT_ONCE }, opener))
    process.send?.({})
  } else if ('await' in order) {
    const times: number[] = []
    onMessage = text => {
      const at = /"endedAt":"([^"]+)"/.exec(text)?.[1]
      if (at !== undefined) times.push(performance.timeOrigin + performance.now() - Date.parse(at))
      if (times.length === order.await) process.send?.({ times })
    }
    process.send?.({})
  } else {
    for (const socket of sockets.splice(0)) socket.terminate()
    process.send?.({})
  }
})

async function open({ url, query }: { url: string; query: string }, variables: object): Promise<void> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws')
  sockets.push(socket)
  await once(socket, 'open')
  socket.send(JSON.stringify({ type: 'connection_init' }))
  await once(socket, 'message')
  socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload: { query, variables } }))
  const [first] = await once(socket, 'message')
  if (!String(first).includes('"next"')) throw new Error(String(first))
  socket.on('message', data => onMessage(String(data)))
}
