import { open } from 'node:fs/promises'
import type { OutgoingHttpHeaders } from 'node:http'
import { TeatreeError } from '../platform/errors.ts'
import { answerJson, errorBody, stream } from './answers.ts'
import { namesTag, readRange } from './byte-range.ts'
import type { Exchange } from './exchange.ts'

export interface FileAnswer {
  path: string
  /** Its entity tag, with the quotes. */
  tag?: string
  headers: OutgoingHttpHeaders
  /** Asked before each part of it is sent: rejects where it may be another file's by now. */
  check?(): Promise<void>
}

const CHUNK_BYTES = 256 << 10

/**
 * Answers with a file that nobody writes to: the whole of it, one range, or that the client has it already. False, and no
 * answer yet, where there is no such file.
 *
 * Closing it drops the lock that DuckDB holds on the same file in this process, on which nothing relies.
 */
export async function answerFile(exchange: Exchange, { path, tag, headers, check }: FileAnswer): Promise<boolean> {
  const { request, response } = exchange
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return null
    throw error
  })
  if (!file) return false
  await using opened = file
  const { size } = await opened.stat()
  if (tag !== undefined) {
    response.setHeader('etag', tag)
    response.setHeader('accept-ranges', 'bytes')
  }
  if (tag !== undefined && namesTag(request.headers['if-none-match'], tag)) {
    response.writeHead(304, headers)
    response.end()
    return true
  }
  const range = tag === undefined ? null : rangeWanted(exchange, tag, size)
  if (range === 'unsatisfiable') {
    const error = new TeatreeError('BAD_VALUE', `Range: the file has ${size} bytes.`)
    answerJson(exchange, 416, errorBody(error), { 'content-range': `bytes */${size}` })
    return true
  }
  const { start, end } = range ?? { start: 0, end: size }
  const partial = range && { 'content-range': `bytes ${start}-${end - 1}/${size}` }
  response.writeHead(range ? 206 : 200, { ...headers, ...partial, 'content-length': end - start })
  if (request.method === 'HEAD' || start === end) response.end()
  else {
    const chunks = opened.createReadStream({ start, end: end - 1, autoClose: false, highWaterMark: CHUNK_BYTES })
    await stream(response, check ? checked(chunks, check) : chunks)
  }
  return true
}

async function* checked(chunks: AsyncIterable<Uint8Array>, check: () => Promise<void>): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    await check()
    yield chunk
  }
}

/** A range of another state of the file would be patched into the wrong one: then the whole is sent. */
function rangeWanted({ request }: Exchange, tag: string, size: number) {
  const { range, 'if-range': ifRange } = request.headers
  return request.method !== 'GET' || (ifRange !== undefined && ifRange !== tag) ? null : readRange(range, size)
}
