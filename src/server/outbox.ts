import type { Duplex } from 'node:stream'
import type { WebSocket } from 'ws'
import { metrics } from '../platform/telemetry/index.ts'

/** A client that does not take a message within this is sent away. */
const SLOW_MS = 60_000
/** What clients together may leave untaken. */
const MAX_UNSENT_BYTES = 256 << 20
/** Clients come back after this code. */
const TRY_AGAIN_LATER = 1013

export interface OutboxLimits {
  slowMs?: number
  maxBytes?: number
}

/** A WebSocket, and the connection below it: messages that many are sent are written there, as they are in common. */
export interface Receiver {
  readonly socket: WebSocket
  readonly connection: Duplex
}

/**
 * Messages on their way to clients. Each operation sends one at a time, so a client that is slow holds few; one that stays slow
 * is sent away, and so are those that have waited longest where all of them together hold too much. They come back, and
 * go on behind what they have seen.
 */
export class Outbox {
  readonly #slowMs: number
  readonly #maxBytes: number
  /** The sockets that have not taken all, those that have waited longest first, with the bytes. */
  readonly #unsent = new Map<WebSocket, number>()
  #bytes = 0

  constructor({ slowMs = SLOW_MS, maxBytes = MAX_UNSENT_BYTES }: OutboxLimits = {}) {
    this.#slowMs = slowMs
    this.#maxBytes = maxBytes
  }

  /**
   * Sends a text, which may end in bytes that others are sent too. What settles does so when it is out, so that a subscription
   * goes no faster than its client reads, or when nobody reads any more; undefined where it is out at once, as mostly.
   */
  send({ socket, connection }: Receiver, text: string, end: Buffer = NOTHING): Promise<void> | undefined {
    if (socket.readyState !== socket.OPEN) return
    const begun = frame(text, end.length)
    connection.cork()
    connection.write(begun)
    if (end.length > 0) connection.write(end)
    connection.uncork()
    if (connection.writableLength === 0) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const slow = setTimeout(() => {
      metrics.sentAway.add(1, { reason: 'slow' })
      socket.close(TRY_AGAIN_LATER, 'Too slow: come back, and go on after your last cursor')
    }, this.#slowMs)
    const bytes = begun.length + end.length
    this.#add(socket, bytes)
    // Behind the message: so few ask to be called back.
    connection.write(NOTHING, () => {
      clearTimeout(slow)
      this.#add(socket, -bytes)
      resolve()
    })
    this.#makeRoom()
    return promise
  }

  #add(socket: WebSocket, bytes: number): void {
    const unsent = (this.#unsent.get(socket) ?? 0) + bytes
    this.#bytes += bytes
    if (unsent === 0) this.#unsent.delete(socket)
    else this.#unsent.set(socket, unsent)
  }

  #makeRoom(): void {
    let tooMany = this.#bytes - this.#maxBytes
    for (const [socket, bytes] of this.#unsent) {
      if (tooMany <= 0) return
      metrics.sentAway.add(1, { reason: 'memory' })
      socket.terminate()
      // They are given back in a moment, when all that wait for it have been told.
      tooMany -= bytes
    }
  }
}

const NOTHING = Buffer.alloc(0)
/** A text, whole in one frame, which servers do not mask (RFC 6455, 5.2). */
const TEXT = 0x81

/** The frame of a message, up to where its last `more` bytes begin. */
function frame(text: string, more: number): Buffer {
  const own = Buffer.byteLength(text)
  const length = own + more
  const head = length < 126 ? 2 : length < 1 << 16 ? 4 : 10
  const bytes = Buffer.allocUnsafe(head + own)
  bytes[0] = TEXT
  bytes[1] = head === 2 ? length : head === 4 ? 126 : 127
  if (head === 4) bytes.writeUInt16BE(length, 2)
  if (head === 10) bytes.writeBigUInt64BE(BigInt(length), 2)
  bytes.write(text, head)
  return bytes
}
