import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import type { TeatreeError } from '../platform/errors.ts'
import { bodyIsComing, drain } from './body.ts'
import type { Exchange } from './exchange.ts'

/** Answers with JSON. */
export function answerJson(
  { response }: Exchange,
  status: number,
  value: unknown,
  headers: OutgoingHttpHeaders = {},
): void {
  const bytes = jsonBytes(value)
  response.writeHead(status, { ...jsonHeaders(bytes), ...headers })
  response.end(bytes)
}

/** `{"error": {"code", "message"}}`, as every error over HTTP is told. */
export const errorBody = ({ code, message }: TeatreeError) => ({ error: { code, message } })

/**
 * Answers with an error. Where the body is still coming it is taken and thrown away, for a while: a connection that is
 * closed over unread bytes is reset, and the client may lose the answer that it already had.
 */
export async function answerError(exchange: Exchange, error: TeatreeError): Promise<void> {
  const { request, response } = exchange
  if (!bodyIsComing(request)) return answerJson(exchange, error.status, errorBody(error))
  const bytes = jsonBytes(errorBody(error))
  response.writeHead(error.status, { ...jsonHeaders(bytes), connection: 'close' })
  response.write(bytes)
  // One who waits to be asked for the body does not send it after this.
  if (!exchange.waitsToBeAsked()) await drain(request)
  response.end()
}

/** A client that does not take a piece within this is cut off: what is sent to it is held open meanwhile. */
const STALL_MS = 120_000

/** Writes the chunks as fast as the client takes them, and ends the answer. Stops where it was ended or cut meanwhile. */
export async function stream(response: ServerResponse, chunks: AsyncIterable<Uint8Array | string>): Promise<void> {
  response.setTimeout(STALL_MS)
  for await (const chunk of chunks) {
    if (!response.writable) return
    if (!response.write(chunk)) await drained(response)
  }
  response.end()
}

/** Settles when more can be written, or nothing ever again. */
function drained(response: ServerResponse): Promise<void> {
  if (response.destroyed) return Promise.resolve()
  return new Promise(resolve => {
    // Who takes a few bytes now and then does not stall as the socket sees it.
    const tooSlow = setTimeout(() => response.destroy(), STALL_MS)
    const done = () => {
      clearTimeout(tooSlow)
      response.off('drain', done).off('close', done)
      resolve()
    }
    response.on('drain', done).on('close', done)
  })
}

const jsonBytes = (value: unknown) => Buffer.from(JSON.stringify(value))
const jsonHeaders = (bytes: Uint8Array) => ({
  'content-type': 'application/json; charset=utf-8',
  'content-length': bytes.length,
  'cache-control': 'no-store',
})
