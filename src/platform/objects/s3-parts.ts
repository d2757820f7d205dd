import { createHash } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { S3Clients } from './s3-clients.ts'
import { storeFault } from './s3-faults.ts'

/** Where an object goes in S3, and as what. */
export interface Target {
  Bucket: string
  Key: string
  ContentType?: string
}

const PARTS_IN_FLIGHT = 3
const ABANDON_MS = 15_000
/** Less than a process that is told to end has left. */
const BEGUN_MS = 3_000

/**
 * One object on its way to S3: parts of `partBytes` each but for the last, or a single request where there is but one.
 *
 *     part() ─▶ filled by the caller ─▶ send(part) ─▶ part() … ─▶ finish(last part)
 *
 * A few buffers go round and each is filled again once its part is there, so that memory stays flat and leaves no garbage;
 * Upload of @aws-sdk/lib-storage joins each part anew, which took 60 to 90 MB for 100. The first fault aborts `halt`,
 * with the error to throw, and so ends the other parts and the body that feeds them.
 */
export class S3Parts {
  readonly #clients: S3Clients
  readonly #target: Target
  readonly #partBytes: number
  readonly #halt: AbortController
  readonly #signal: AbortSignal
  readonly #free: Buffer[] = []
  readonly #inFlight = new Set<Promise<void>>()
  readonly #md5s: Buffer[] = []
  readonly #sent: CompletedPart[] = []
  #uploadId: string | undefined

  /** `signal` is that of `halt`, and of the caller's own reasons to stop. */
  constructor(clients: S3Clients, target: Target, partBytes: number, halt: AbortController, signal: AbortSignal) {
    this.#clients = clients
    this.#target = target
    this.#partBytes = partBytes
    this.#halt = halt
    this.#signal = signal
  }

  /** The ETag that S3 gives to what was sent: its MD5 or, of several parts, the MD5 of their MD5s and their number. */
  get etag(): string {
    const [only, ...more] = this.#md5s
    if (only !== undefined && this.#uploadId === undefined) return only.toString('hex')
    return `${createHash('md5').update(Buffer.concat(this.#md5s)).digest('hex')}-${more.length + 1}`
  }

  /** A buffer to fill, as soon as there is one. */
  async part(): Promise<Buffer> {
    if (this.#inFlight.size === PARTS_IN_FLIGHT) await Promise.race(this.#inFlight)
    this.#signal.throwIfAborted()
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(this.#partBytes)
  }

  /** Begins to send a full part, behind which another comes. */
  async send(part: Buffer): Promise<void> {
    this.#uploadId ??= await this.#begin()
    const UploadId = this.#uploadId
    const PartNumber = this.#md5s.push(createHash('md5').update(part).digest())
    const command = new UploadPartCommand({ ...this.#place, UploadId, PartNumber, Body: part })
    const limits = { abortSignal: this.#signal, requestTimeout: this.#clients.sendingMs(part.byteLength) }
    const sending: Promise<void> = this.#clients.sending
      .send(command, limits)
      .then(
        ({ ETag }) => {
          this.#sent[PartNumber - 1] = { PartNumber, ETag }
          this.#free.push(part)
        },
        error => this.#halt.abort(storeFault(error)),
      )
      .finally(() => this.#inFlight.delete(sending))
    this.#inFlight.add(sending)
  }

  /** Sends the last part, and makes the object of them all. From here on it is too late to stop. */
  async finish(last: Buffer): Promise<void> {
    if (this.#uploadId === undefined) {
      this.#md5s.push(createHash('md5').update(last).digest())
      const command = new PutObjectCommand({ ...this.#target, Body: last })
      const limits = { requestTimeout: this.#clients.sendingMs(last.byteLength) }
      await this.#asked(this.#clients.sending.send(command, limits))
      return
    }
    await this.send(last)
    await Promise.all(this.#inFlight)
    this.#signal.throwIfAborted()
    const MultipartUpload = { Parts: this.#sent }
    const command = { ...this.#place, UploadId: this.#uploadId, MultipartUpload }
    await this.#asked(this.#clients.asking.send(new CompleteMultipartUploadCommand(command)))
  }

  /** Ends what is in flight and aborts the upload at the server. What cannot be told to it now is swept when it is a day old. */
  async abandon(why: unknown): Promise<void> {
    this.#halt.abort(why)
    await Promise.all(this.#inFlight)
    if (this.#uploadId === undefined) return
    const command = new AbortMultipartUploadCommand({ ...this.#place, UploadId: this.#uploadId })
    await this.#clients.asking.send(command, { abortSignal: AbortSignal.timeout(ABANDON_MS) }).catch(() => {})
  }

  get #place(): Target {
    return { Bucket: this.#target.Bucket, Key: this.#target.Key }
  }

  /** Waits a little for the answer even when it is called off: nobody could abort an upload that nobody here has heard of. */
  async #begin(): Promise<string | undefined> {
    const late = new AbortController()
    let timer: NodeJS.Timeout | undefined
    const calledOff = () => {
      timer = setTimeout(() => late.abort(), BEGUN_MS)
    }
    this.#signal.addEventListener('abort', calledOff, { once: true })
    try {
      const command = new CreateMultipartUploadCommand(this.#target)
      return (await this.#asked(this.#clients.asking.send(command, { abortSignal: late.signal }))).UploadId
    } finally {
      this.#signal.removeEventListener('abort', calledOff)
      clearTimeout(timer)
    }
  }

  async #asked<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer
    } catch (error) {
      throw this.#signal.aborted ? this.#signal.reason : storeFault(error)
    }
  }
}
