import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import { CloseCode, handleProtocols, makeServer, type Server } from 'graphql-ws'
import { type RawData, type WebSocket, WebSocketServer } from 'ws'
import { TeatreeError } from '../platform/errors.ts'
import type { Log } from '../platform/log.ts'
import { errorBody } from './answers.ts'
import { atExpiry, type Identify } from './callers.ts'
import { GRAPHQL_PATH, type GraphqlServer, MAX_REQUEST_BYTES } from './graphql.ts'
import type { Guard } from './guard.ts'
import type { Outbox, Receiver } from './outbox.ts'
import { type Connection, operationsOver } from './websocket-operations.ts'

/** How often it is seen whether a client is still there. */
const PING_MS = 12_000
/** One that is closed and does not say so too is cut off after this: it may not even take what it was sent. */
const CLOSE_MS = 5_000
const GOING_AWAY = 1001

/** GraphQL over WebSockets, in the `graphql-transport-ws` protocol. */
export class WebSockets {
  readonly #sockets: WebSocketServer
  readonly #connections = new Map<WebSocket, Connection>()
  readonly #guard: Guard
  readonly #log: Log
  readonly #identify: Identify
  readonly #outbox: Outbox
  readonly #protocol: Server<Connection>
  /** Settles when no client is left; there once the server is about to stop. */
  #empty: PromiseWithResolvers<void> | null = null

  constructor(deps: { graphql: GraphqlServer; guard: Guard; identify: Identify; log: Log; outbox: Outbox }) {
    this.#guard = deps.guard
    this.#identify = deps.identify
    this.#outbox = deps.outbox
    this.#log = deps.log
    this.#sockets = new WebSocketServer({
      noServer: true,
      clientTracking: false,
      maxPayload: MAX_REQUEST_BYTES,
      // The package's types do not know it.
      ...({ closeTimeout: CLOSE_MS } satisfies object),
      perMessageDeflate: false,
      handleProtocols,
    })
    this.#protocol = makeServer(operationsOver(deps.graphql))
  }

  /** Takes over a connection whose client wants a WebSocket. */
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    socket.on('error', error => this.#log.debug({ err: error }, 'a connection broke'))
    try {
      this.#check(request)
      this.#sockets.handleUpgrade(request, socket, head, connected =>
        this.#opened({ socket: connected, connection: socket }, request),
      )
    } catch (error) {
      refuse(socket, error instanceof TeatreeError ? error : new TeatreeError('INTERNAL', 'A fault of the server.'))
    }
  }

  #check(request: IncomingMessage): void {
    this.#guard(request.headers)
    if (this.#empty) throw new TeatreeError('UNAVAILABLE', 'The server is about to stop.')
    if (request.url?.split('?', 1)[0] !== GRAPHQL_PATH || request.headers.upgrade?.toLowerCase() !== 'websocket')
      throw new TeatreeError('NOT_FOUND', `There is a WebSocket at ${GRAPHQL_PATH}, and nothing else to upgrade to.`)
  }

  #opened(receiver: Receiver, { headers }: IncomingMessage): void {
    const { socket } = receiver
    let forget = () => {}
    const connection: Connection = {
      answering: new Set(),
      send: (text, end) => this.#outbox.send(receiver, text, end),
      caller: null,
      identify: async params => {
        connection.caller = await this.#identify({ headers, params })
        if (!connection.caller) return false
        // Who has gone meanwhile is not looked after any more: nobody would call `forget`.
        if (socket.readyState === socket.OPEN)
          forget = atExpiry(connection.caller, () => socket.close(CloseCode.Forbidden, 'Credentials expired'))
        return true
      },
    }
    this.#connections.set(socket, connection)
    socket.on('error', error => this.#log.debug({ err: error }, 'a WebSocket broke'))
    const stopPings = ping(socket)
    const closed = this.#protocol.opened(
      {
        protocol: socket.protocol,
        send: text => connection.send(text),
        close: (code, reason) => socket.close(code, reason),
        onMessage: receive => socket.on('message', data => this.#received(socket, data, receive)),
      },
      connection,
    )
    socket.once('close', (code, reason) => {
      stopPings()
      forget()
      this.#connections.delete(socket)
      if (this.#connections.size === 0) this.#empty?.resolve()
      closed(code, String(reason)).catch(error => this.#log.error({ err: error }, 'a WebSocket was not closed well'))
    })
  }

  /** `receive` settles when the operation that the message begins has ended. */
  async #received(socket: WebSocket, data: RawData, receive: (text: string) => Promise<void>): Promise<void> {
    try {
      await receive(String(data))
    } catch (error) {
      const id = randomUUID()
      this.#log.error({ err: error, id }, 'a message failed by a fault of ours')
      socket.close(CloseCode.InternalServerError, `A fault of the server; its log has it under ${id}.`)
    }
    this.#closeIfIdle(socket)
  }

  /**
   * Sends each client away as soon as its queries and mutations have been answered. Subscriptions are cut, not completed:
   * clients come back for those, and go on at their cursor. Settles when no client is left.
   */
  stop(): Promise<void> {
    this.#empty = Promise.withResolvers<void>()
    for (const socket of this.#connections.keys()) this.#closeIfIdle(socket)
    if (this.#connections.size === 0) this.#empty.resolve()
    return this.#empty.promise
  }

  #closeIfIdle(socket: WebSocket): void {
    if (this.#empty && !this.#connections.get(socket)?.answering.size) socket.close(GOING_AWAY, 'Going away')
  }

  /** Cuts those that are still there. */
  cut(): void {
    for (const socket of this.#connections.keys()) socket.terminate()
  }
}

/** Cuts the connection where a ping was not answered by the time of the next. */
function ping(socket: WebSocket): () => void {
  let answered = true
  socket.on('pong', () => {
    answered = true
  })
  const timer = setInterval(() => {
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  }, PING_MS)
  return () => clearInterval(timer)
}

function refuse(socket: Duplex, error: TeatreeError): void {
  const body = JSON.stringify(errorBody(error))
  socket.once('finish', () => socket.destroy())
  socket.end(
    `HTTP/1.1 ${error.status} ${error.code}\r\nConnection: close\r\nContent-Type: application/json; charset=utf-8\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
  )
}
