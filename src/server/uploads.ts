import type { IncomingHttpHeaders } from 'node:http'
import type { Uploads } from '../jobs/uploads.ts'
import { TeatreeError } from '../platform/errors.ts'
import { answerJson } from './answers.ts'
import { takeBody } from './body.ts'
import type { Route } from './exchange.ts'

/** `POST /uploads`: the bytes of one file, streamed to the store as it takes them. */
export const uploadsRoute = (uploads: Pick<Uploads, 'receive'>): Route => ({
  method: 'POST',
  path: '/uploads',
  async handle(exchange) {
    const announced = announcedIn(exchange.request.headers)
    const { id, bytes, sha256 } = await takeBody(exchange, chunks =>
      uploads.receive(chunks, announced, exchange.signal),
    )
    answerJson(exchange, 201, { id, bytes: Number(bytes), sha256 })
  },
})

/** What the headers say of the bytes to come; the checksum in hex. BAD_VALUE where they cannot be understood. */
export function announcedIn(headers: IncomingHttpHeaders): { bytes?: number; sha256?: string } {
  const { digest, 'content-length': length } = headers
  return {
    ...(length !== undefined && { bytes: Number(length) }),
    ...(digest !== undefined && { sha256: sha256In(String(digest)) }),
  }
}

/** Of a list of digests the SHA-256. One that names others alone is refused, since its sender would think it checked. */
function sha256In(header: string): string {
  const sha256 = header.split(',').map(digest => /^\s*sha-256=([A-Za-z0-9+/]{43}=)\s*$/i.exec(digest)?.[1])
  const found = sha256.find(digest => digest !== undefined)
  if (found !== undefined) return Buffer.from(found, 'base64').toString('hex')
  throw new TeatreeError('BAD_VALUE', 'Digest: give sha-256= and the base64 of the 32 bytes of the SHA-256.')
}
