import { addAbortSignal, Readable } from 'node:stream'
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadObjectCommand,
  paginateListObjectsV2,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { checkedFolder, checkedKey, checkedPrefix, checkedRange, tempName } from './keys.ts'
import { getLocalFile, putLocalFile } from './local-file.ts'
import type { GetFileOptions, GetOptions, ObjectInfo, ObjectStore, PutOptions, StoredObject } from './object-store.ts'
import { ResumingBody } from './s3-body.ts'
import { S3Clients } from './s3-clients.ts'
import { isMissing, isPastEnd, storeFault } from './s3-faults.ts'
import type { Target } from './s3-parts.ts'
import { type Environment, type Patience, parseS3Url } from './s3-settings.ts'
import { abortStrayUploads } from './s3-strays.ts'
import { upload } from './s3-upload.ts'

const STRAY_AFTER_MS = 24 * 60 * 60 * 1000
const CHECK_MS = 15_000
const MAX_PRESIGN_SECONDS = 604_800
const DELETES_IN_FLIGHT = 16

function empty(): Readable {
  return Readable.from([], { objectMode: false })
}

function bodyOf(answer: GetObjectCommandOutput): Readable {
  if (answer.Body instanceof Readable) return answer.Body
  throw new Error('The S3 client gave a body that is no stream of Node.js')
}

function rangeOf(start: number, end: number): { Range?: string } {
  if (start === 0 && end === Number.POSITIVE_INFINITY) return {}
  return { Range: `bytes=${start}-${end === Number.POSITIVE_INFINITY ? '' : end - 1}` }
}

/**
 * Objects in an S3 bucket, or in any store that speaks S3. Uploads that were left unfinished, by a killed process or where
 * the store did not hear that they were given up, are swept at open and every day, if the URL has a prefix: in a bucket
 * without one they may be another's.
 */
export class S3Store implements ObjectStore {
  readonly url: string
  readonly #clients: S3Clients
  readonly #bucket: string
  readonly #prefix: string
  readonly #closing = new AbortController()
  readonly #sweeping: NodeJS.Timeout
  #swept: Promise<void>

  constructor(url: string, env: Environment, patience: Patience = {}) {
    const { bucket, prefix } = parseS3Url(url)
    this.url = url
    this.#bucket = bucket
    this.#prefix = prefix
    this.#clients = new S3Clients(env, patience)
    this.#swept = this.#sweep()
    this.#sweeping = setInterval(() => {
      this.#swept = this.#sweep()
    }, STRAY_AFTER_MS).unref()
  }

  async #sweep(): Promise<void> {
    if (this.#prefix === '') return
    const which = { bucket: this.#bucket, prefix: this.#prefix, before: new Date(Date.now() - STRAY_AFTER_MS) }
    // check() tells of a store that does not work
    await abortStrayUploads(this.#clients.asking, which, this.#closing.signal).catch(() => {})
  }

  async put(
    key: string,
    body: AsyncIterable<Uint8Array> | Uint8Array,
    options: PutOptions = {},
  ): Promise<StoredObject> {
    const { contentType } = options
    const target = { ...this.#place(key), ...(contentType === undefined ? {} : { ContentType: contentType }) }
    return { key, ...(await upload(this.#clients, target, body, options)) }
  }

  putFile(key: string, path: string, options: PutOptions = {}): Promise<StoredObject> {
    return putLocalFile(this, key, path, options)
  }

  async get(key: string, options: GetOptions = {}): Promise<Readable | null> {
    const { start, end } = checkedRange(options)
    const { signal } = options
    signal?.throwIfAborted()
    const place = this.#place(key)
    if (start === end) return (await this.head(key)) === null ? null : empty()
    const first = await this.#ask(place, start, end, signal)
    if (first === null || first === 'past end') return first === null ? null : empty()

    const stop = start + (first.ContentLength ?? 0)
    const again = async (from: number, stopped: AbortSignal) => {
      const command = new GetObjectCommand({ ...place, ...rangeOf(from, stop), IfMatch: first.ETag })
      return bodyOf(await this.#clients.asking.send(command, { abortSignal: stopped }))
    }
    const body = new ResumingBody(bodyOf(first), { at: start, end: stop }, again)
    return signal === undefined ? body : addAbortSignal(signal, body)
  }

  async head(key: string): Promise<ObjectInfo | null> {
    const place = this.#place(key)
    try {
      const found = await this.#clients.asking.send(new HeadObjectCommand(place))
      return { key, bytes: found.ContentLength ?? 0 }
    } catch (error) {
      if (isMissing(error)) return null
      throw storeFault(error)
    }
  }

  getFile(key: string, path: string, options: GetFileOptions = {}): Promise<StoredObject> {
    return getLocalFile(this, key, path, options)
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const input = { Bucket: this.#bucket, Prefix: this.#prefix + checkedPrefix(prefix) }
    try {
      for await (const page of paginateListObjectsV2({ client: this.#clients.asking }, input)) {
        for (const { Key = '', Size = 0 } of page.Contents ?? []) {
          // What ends in '/' are the empty objects by which some tools mark folders.
          if (!Key.endsWith('/')) yield { key: Key.slice(this.#prefix.length), bytes: Size }
        }
      }
    } catch (error) {
      throw storeFault(error)
    }
  }

  async delete(key: string): Promise<void> {
    const place = this.#place(key)
    try {
      await this.#clients.asking.send(new DeleteObjectCommand(place))
    } catch (error) {
      throw storeFault(error)
    }
  }

  async deletePrefix(prefix: string): Promise<void> {
    // One by one, for the request that deletes many needs a checksum of which the stores in use disagree.
    let keys: string[] = []
    for await (const { key } of this.list(checkedFolder(prefix))) {
      keys.push(key)
      if (keys.length < DELETES_IN_FLIGHT) continue
      await Promise.all(keys.map(each => this.delete(each)))
      keys = []
    }
    await Promise.all(keys.map(each => this.delete(each)))
  }

  async presign(key: string, seconds: number): Promise<string> {
    if (!Number.isInteger(seconds) || seconds < 1 || seconds > MAX_PRESIGN_SECONDS) {
      throw new Error(`A URL cannot work for ${seconds} seconds; from 1 to ${MAX_PRESIGN_SECONDS} it can`)
    }
    const place = this.#place(key)
    try {
      return await getSignedUrl(this.#clients.asking, new GetObjectCommand(place), { expiresIn: seconds })
    } catch (error) {
      throw storeFault(error)
    }
  }

  uri(key: string): string {
    const { Bucket, Key } = this.#place(key)
    return `s3://${Bucket}/${Key}`
  }

  /** By an upload in parts, begun and aborted: it needs the right to write, and leaves no version even where versions are kept. */
  async check(): Promise<void> {
    const place = { Bucket: this.#bucket, Key: this.#prefix + tempName() }
    const limit = { abortSignal: AbortSignal.timeout(CHECK_MS) }
    try {
      const { UploadId } = await this.#clients.asking.send(new CreateMultipartUploadCommand(place), limit)
      await this.#clients.asking.send(new AbortMultipartUploadCommand({ ...place, UploadId }), limit)
    } catch (error) {
      throw storeFault(error)
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#sweeping)
    this.#closing.abort()
    this.#clients.close()
    await this.#swept
  }

  #place(key: string): Target {
    return { Bucket: this.#bucket, Key: this.#prefix + checkedKey(key) }
  }

  async #ask(
    place: Target,
    start: number,
    end: number,
    signal: AbortSignal | undefined,
  ): Promise<GetObjectCommandOutput | 'past end' | null> {
    const command = new GetObjectCommand({ ...place, ...rangeOf(start, end) })
    try {
      return await this.#clients.asking.send(command, signal === undefined ? {} : { abortSignal: signal })
    } catch (error) {
      if (signal?.aborted) throw signal.reason
      if (isMissing(error)) return null
      if (isPastEnd(error)) return 'past end'
      throw storeFault(error)
    }
  }
}
