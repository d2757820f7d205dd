import { on } from 'node:events'
import { setTimeout as wait } from 'node:timers/promises'
import { expect } from 'vitest'
import WebSocket from 'ws'
import type { Answer, TestPlatform } from './platform.ts'
import { PROTOCOL } from './websocket.ts'

/** How a client is sent a model's log. */
export type Transport = 'websocket' | 'events'

/** A client that follows a model's log, and each time that it is cut comes back behind the last page that it has seen whole. */
export interface LogFollower extends Disposable {
  /** The ids of what has ended, in the order in which it was told. */
  readonly seen: readonly string[]
  /** How often it has come. */
  readonly connections: number
  /** Settles when it has been told of so many, or of this one; fails with what no client should be told. */
  until(what: number | string): Promise<void>
  /** Settles when it has been told of this whole log; fails where that was in another order, or of something twice. */
  agrees(log: readonly string[]): Promise<void>
}

export interface Following {
  /** Of a server or of what is before it; asked for each time that the client comes. */
  url: () => string
  model: string
  /** Where it begins. */
  after: string
  pageSize: number
  /** Is given each page as it came. */
  onPage?(page: Answer): void
}

const COMPLETIONS = `subscription ($model: ID!, $after: String, $pageSize: Int) {
  completions(model: $model, after: $after, pageSize: $pageSize) {
    cursor reset snapshot { version } edges { cursor node { ... on Intent { id seq status version } ... on QueryRun { id state } } } } }`
/** One that is refused comes again after this: the server may be away for a while. */
const AGAIN_MS = 20

export function followLog(transport: Transport, following: Following): LogFollower {
  const seen: string[] = []
  const left = new AbortController()
  let connections = 0
  let fault: unknown
  const run = async () => {
    let { after } = following
    while (!left.signal.aborted) {
      connections += 1
      for await (const text of TRANSPORTS[transport](following, after, left.signal)) {
        const { data, errors } = JSON.parse(text) as { data?: Answer; errors?: Answer[] }
        if (errors?.[0]?.extensions?.code === 'UNAVAILABLE') break
        following.onPage?.(data?.completions)
        if (errors || data.completions.reset) throw new Error(`was told ${text}`)
        const { cursor, edges } = data.completions
        seen.push(...edges.map(({ node }: Answer) => node.id))
        after = cursor
      }
      await wait(AGAIN_MS)
    }
  }
  const running = run().catch(error => {
    fault = error
  })
  const until: LogFollower['until'] = async what => {
    const isSeen = () => (typeof what === 'number' ? seen.length >= what : seen.includes(what))
    await expect.poll(() => fault !== undefined || isSeen(), { timeout: 60_000, interval: 20 }).toBe(true)
    if (fault !== undefined) throw fault
  }
  return {
    seen,
    get connections() {
      return connections
    },
    until,
    async agrees(log) {
      await until(log.length)
      expect(seen).toEqual(log)
    },
    [Symbol.dispose]: () => {
      left.abort()
      void running
    },
  }
}

/** The cursor that a model's log goes on from where it is now. */
export async function startOfLog(platform: Pick<TestPlatform, 'graphql'>, model: string): Promise<string> {
  const data = await platform.graphql(`{ model(id: "${model}") { snapshot { cursor } } }`)
  return data.model.snapshot.cursor
}

/** Each yields the answers that came whole, as JSON, until its one connection ends, however it ends. */
const TRANSPORTS: Record<Transport, (to: Following, after: string, signal: AbortSignal) => AsyncGenerator<string>> = {
  async *websocket({ url, model, pageSize }, after, signal) {
    const socket = new WebSocket(`${url().replace('http', 'ws')}/graphql`, [PROTOCOL])
    socket.on('error', () => {})
    socket.on('open', () => socket.send('{"type":"connection_init"}'))
    const payload = { query: COMPLETIONS, variables: { model, after, pageSize } }
    try {
      for await (const [data] of on(socket, 'message', { close: ['close'], signal })) {
        const message = JSON.parse(String(data))
        if (message.type === 'connection_ack') socket.send(JSON.stringify({ id: '1', type: 'subscribe', payload }))
        if (message.type === 'next') yield JSON.stringify(message.payload)
        if (message.type === 'error') yield JSON.stringify({ errors: message.payload })
        if (message.type === 'complete') return
      }
    } catch (error) {
      if (error instanceof SyntaxError) throw error
    } finally {
      socket.terminate()
    }
  },

  /** Its `after` stays what it was at first, as that of a browser does: Last-Event-ID is what counts. */
  async *events({ url, model, pageSize, after: first }, after, signal) {
    const body = JSON.stringify({ query: COMPLETIONS, variables: { model, after: first, pageSize } })
    const headers = { 'content-type': 'application/json', accept: 'text/event-stream', 'last-event-id': after }
    try {
      const response = await fetch(`${url()}/graphql`, { method: 'POST', headers, body, signal })
      let text = ''
      for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
        const blocks = `${text}${chunk}`.split('\n\n')
        text = blocks.pop() ?? ''
        for (const block of blocks) {
          const data = /^event: next\n(?:id: \S+\n)?data: (.+)$/s.exec(block)?.[1]
          if (data) yield data
        }
      }
    } catch {
      // Cut, refused, or left.
    }
  },
}
