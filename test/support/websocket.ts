import { once } from 'node:events'
import { expect } from 'vitest'
import WebSocket from 'ws'
import type { Answer } from './http-server.ts'

export const PROTOCOL = 'graphql-transport-ws'

/** A WebSocket on which the test says each message itself; `next` settles with the next one that comes. */
export interface Connected {
  socket: WebSocket
  say(message: object): void
  next(): Promise<Answer>
  subscribe(id: string, payload: object): void
  /** Settles with the code that it is closed with. */
  closed: Promise<number>
}

export interface ConnectOptions {
  headers?: Record<string, string>
  protocols?: string[]
  /** The payload of `connection_init`; null: it is not sent. */
  init?: Record<string, unknown> | null | undefined
}

/** `url` is that of the server. */
export async function connect(url: string, options: ConnectOptions = {}): Promise<Connected> {
  const { headers = {}, protocols = [PROTOCOL], init = {} } = options
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, protocols, { headers })
  const closed = once(socket, 'close').then(([code]) => code as number)
  // Who waits for it hears of a connection that failed before.
  closed.catch(() => {})
  const messages: Answer[] = []
  const waiting: ((message: Answer) => void)[] = []
  socket.on('message', data => {
    const message = JSON.parse(String(data))
    const first = waiting.shift()
    if (first) first(message)
    else messages.push(message)
  })
  await once(socket, 'open')
  const next = () =>
    messages.length > 0
      ? Promise.resolve(messages.shift())
      : new Promise<Answer>(resolve => {
          waiting.push(resolve)
        })
  const say = (message: object) => socket.send(JSON.stringify(message))
  if (init) {
    say({ type: 'connection_init', payload: init })
    expect(await next()).toEqual({ type: 'connection_ack' })
  }
  return { socket, say, next, closed, subscribe: (id, payload) => say({ id, type: 'subscribe', payload }) }
}
