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

  /** Settles when it is out, so that a subscription goes no faster than its client reads; or when nobody reads any more. */
  async send(socket: WebSocket, text: string): Promise<void> {
    if (socket.readyState !== socket.OPEN) return
    const { promise, resolve } = Promise.withResolvers<void>()
    const slow = setTimeout(() => {
      metrics.sentAway.add(1, { reason: 'slow' })
      socket.close(TRY_AGAIN_LATER, 'Too slow: come back, and go on after your last cursor')
    }, this.#slowMs)
    // Bytes, as they are held until they are taken: a text has fewer characters.
    const bytes = Buffer.from(text)
    this.#add(socket, bytes.length)
    socket.send(bytes, { binary: false }, () => resolve())
    this.#makeRoom()
    await promise
    clearTimeout(slow)
    this.#add(socket, -bytes.length)
  }

  #add(socket: WebSocket, bytes: number): void {
    const unsent = (this.#unsent.get(socket) ?? 0) + bytes
    this.#bytes += bytes
    if (unsent === 0) this.#unsent.delete(socket)
    else this.#unsent.set(socket, unsent)
  }

  #makeRoom(): void {
    for (const socket of this.#unsent.keys()) {
      if (this.#bytes <= this.#maxBytes) return
      metrics.sentAway.add(1, { reason: 'memory' })
      socket.terminate()
    }
  }
}
