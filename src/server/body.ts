import type { IncomingMessage } from 'node:http'
import type { TeatreeError } from '../platform/errors.ts'
import type { Exchange } from './exchange.ts'

/** A client that sends nothing for so long while its body is awaited is cut off. */
const IDLE_MS = 120_000
/** How much of a body that nobody wants is taken, so that its sender comes to read the answer. */
const DRAIN_BYTES = 64 << 20
const DRAIN_MS = 5_000

/** Whether more of the request's body is to come. (`complete` alone does not tell: it is set after the headers.) */
export function bodyIsComing({ complete, headers }: IncomingMessage): boolean {
  return !complete && (headers['transfer-encoding'] !== undefined || Number(headers['content-length']) > 0)
}

/**
 * Has `use` read the body, chunk by chunk and no faster than it asks. The request outlives it: what is left can be
 * drained.
 */
export async function takeBody<T>(exchange: Exchange, use: (chunks: AsyncIterable<Buffer>) => Promise<T>): Promise<T> {
  const { request } = exchange
  exchange.askForBody()
  request.socket.setTimeout(IDLE_MS)
  const chunks = request.iterator({ destroyOnReturn: false })
  try {
    return await use(chunks)
  } finally {
    request.socket.setTimeout(0)
    // Not awaited: where it waits for a chunk, it answers with the next one. While it is there nothing else can read.
    chunks.return?.().catch(() => {})
  }
}

/** The whole body; `tooLarge` is thrown past so many bytes. */
export async function wholeBody(
  exchange: Exchange,
  maxBytes: number,
  tooLarge: () => TeatreeError,
): Promise<Buffer<ArrayBuffer>> {
  if (Number(exchange.request.headers['content-length']) > maxBytes) throw tooLarge()
  return takeBody(exchange, async chunks => {
    const parts: Buffer[] = []
    let bytes = 0
    for await (const chunk of chunks) {
      bytes += chunk.length
      if (bytes > maxBytes) throw tooLarge()
      parts.push(chunk)
    }
    return Buffer.concat(parts, bytes)
  })
}

/** Takes what is still to come and throws it away, up to a bound in bytes and time. */
export function drain(request: IncomingMessage): Promise<void> {
  return new Promise(resolve => {
    let left = DRAIN_BYTES
    const done = () => {
      clearTimeout(timer)
      request.off('data', take).off('end', done).off('close', done)
      resolve()
    }
    const take = (chunk: Buffer) => {
      left -= chunk.length
      if (left <= 0) done()
    }
    const timer = setTimeout(done, DRAIN_MS)
    request.on('data', take).on('end', done).on('close', done)
    request.resume()
    if (request.destroyed) done()
  })
}
