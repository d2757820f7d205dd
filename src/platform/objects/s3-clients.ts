import { S3Client } from '@aws-sdk/client-s3'
import { clientSettings, type Environment, type Patience, STALL_MS } from './s3-settings.ts'

/** What is sent may take as long again as a silent store is waited for, for each so many bytes. */
const STALL_BYTES = 1 << 20

/**
 * The clients of one store. What is sent is in the hands of the system long before it has gone out, and nothing stirs
 * meanwhile that could be seen: silence does not tell a slow line from a dead one. So requests that send much go by
 * `sending`, each with a time limit by what it sends (`sendingMs`), and all others by `asking`, which minds silence.
 */
export class S3Clients {
  readonly asking: S3Client
  readonly sending: S3Client
  readonly #stallMs: number

  constructor(env: Environment, patience: Patience) {
    const settings = clientSettings(env, patience)
    const handler = { ...settings.requestHandler, socketTimeout: 0, throwOnRequestTimeout: true }
    this.asking = new S3Client(settings)
    this.sending = new S3Client({ ...settings, requestHandler: handler })
    this.#stallMs = patience.stallMs ?? STALL_MS
  }

  /** The `requestTimeout` of a request that sends so many bytes. */
  sendingMs(bytes: number): number {
    return Math.ceil(this.#stallMs * (1 + bytes / STALL_BYTES))
  }

  close(): void {
    this.asking.destroy()
    this.sending.destroy()
  }
}
