import { DeleteObjectCommand, HeadObjectCommand, type HeadObjectCommandOutput, type S3Client } from '@aws-sdk/client-s3'
import { TeatreeError } from '../errors.ts'
import { Meter } from './meter.ts'
import type { PutOptions, StoredObject } from './object-store.ts'
import type { S3Clients } from './s3-clients.ts'
import { isMissing, storeFault } from './s3-faults.ts'
import { S3Parts, type Target } from './s3-parts.ts'

// The least that S3 takes for a part: a few of them are held in memory.
const MIN_PART_BYTES = 5 * 1024 * 1024
const MAX_PARTS = 10_000

/** The most that may come must fit into the number of parts that S3 takes; of a little object a part is no larger than it. */
function partBytes(known: number | undefined, maxBytes: number | undefined): number {
  if (known !== undefined && known < MIN_PART_BYTES) return Math.max(1, known)
  return Math.max(MIN_PART_BYTES, Math.ceil((known ?? maxBytes ?? 0) / MAX_PARTS))
}

/** Whether the object is what was sent. Its ETag tells more than its length, unless encryption makes another thing of it. */
function isWhatWasSent(seen: HeadObjectCommandOutput | null, bytes: number, etag: string): boolean {
  if (seen?.ContentLength !== bytes) return false
  const encrypted = (seen.ServerSideEncryption ?? 'AES256') !== 'AES256' || seen.SSECustomerAlgorithm !== undefined
  const seenEtag = (seen.ETag ?? '').replaceAll('"', '')
  return encrypted || !/^[0-9a-f]{32}(-\d+)?$/.test(seenEtag) || seenEtag === etag
}

async function look(client: S3Client, { Bucket, Key }: Target): Promise<HeadObjectCommandOutput | null> {
  try {
    return await client.send(new HeadObjectCommand({ Bucket, Key }))
  } catch (error) {
    if (isMissing(error)) return null
    throw storeFault(error)
  }
}

async function sendAll(parts: S3Parts, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  let part = await parts.part()
  let filled = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; ) {
      // Only now that more has come: the last part may be full, and only that of an empty object is empty.
      if (filled === part.byteLength) {
        await parts.send(part)
        part = await parts.part()
        filled = 0
      }
      const taken = chunk.subarray(at, at + part.byteLength - filled)
      part.set(taken, filled)
      filled += taken.byteLength
      at += taken.byteLength
    }
  }
  await parts.finish(part.subarray(0, filled))
}

/**
 * Streams `body` to an object, in parts where it is large and a few of them in flight, then looks whether the store has
 * what was sent. A failed upload is aborted at the server, so the object appears whole or not at all. Errors as of
 * `ObjectStore.put`.
 */
export async function upload(
  clients: S3Clients,
  target: Target,
  body: AsyncIterable<Uint8Array> | Uint8Array,
  options: PutOptions,
): Promise<Omit<StoredObject, 'key'>> {
  const halt = new AbortController()
  const signal = options.signal === undefined ? halt.signal : AbortSignal.any([options.signal, halt.signal])
  const meter = new Meter({ ...options, signal })
  const known = body instanceof Uint8Array ? body.byteLength : options.expect?.bytes
  const parts = new S3Parts(clients, target, partBytes(known, options.maxBytes), halt, signal)
  let fault: { error: unknown } | null = null
  try {
    await sendAll(parts, meter.read(body))
  } catch (error) {
    await parts.abandon(error)
    if (!meter.whole) throw error
    fault = { error }
  }

  // Also after a fault: the store may have completed the object and the answer have been lost.
  const seen = await look(clients.asking, target).catch(error => {
    throw fault === null ? error : fault.error
  })
  const { bytes, sha256 } = meter.measured()
  if (isWhatWasSent(seen, bytes, parts.etag)) return { bytes, sha256 }
  if (fault !== null) throw fault.error
  await clients.asking.send(new DeleteObjectCommand({ Bucket: target.Bucket, Key: target.Key })).catch(() => {})
  const message = `The object store kept ${seen?.ContentLength ?? 'none'} of the ${bytes} bytes it was sent, or other bytes.`
  throw new TeatreeError('UNAVAILABLE', message)
}
