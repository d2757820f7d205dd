import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { UsageError } from '../errors.ts'
import { checkedKey } from './keys.ts'

/** The environment: the standard AWS_* variables. What is not in it the SDK looks up as it always does. */
export type Environment = Readonly<Record<string, string | undefined>>

/** How long a silent store is waited for, and how often a request is sent before it has failed. */
export interface Patience {
  /** Milliseconds without one byte either way; what is sent has as long again for each MiB (s3-clients.ts). */
  stallMs?: number | undefined
  attempts?: number | undefined
}

export const STALL_MS = 30_000
const MAX_PREFIX_BYTES = 200

/** `s3://bucket/prefix` in its parts; the prefix is empty or ends in '/'. Anything else is a UsageError. */
export function parseS3Url(url: string): { bucket: string; prefix: string } {
  const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*?)\/?)?$/.exec(url) ?? []
  try {
    if (bucket === undefined) throw new Error('no bucket')
    if (path === '') return { bucket, prefix: '' }
    if (Buffer.byteLength(path) > MAX_PREFIX_BYTES) throw new Error(`longer than ${MAX_PREFIX_BYTES} bytes`)
    return { bucket, prefix: `${checkedKey(path)}/` }
  } catch (cause) {
    throw new UsageError('TEATREE_STORE_URL must be s3://bucket or s3://bucket/prefix', { cause })
  }
}

function credentials(env: Environment): Pick<S3ClientConfig, 'credentials'> {
  const {
    AWS_ACCESS_KEY_ID: accessKeyId,
    AWS_SECRET_ACCESS_KEY: secretAccessKey,
    AWS_SESSION_TOKEN: sessionToken,
  } = env
  if (!accessKeyId || !secretAccessKey) return {}
  return { credentials: { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) } }
}

/** An endpoint of one's own: older servers and look-alikes do not know the checksums that Amazon's takes by default. */
function endpoint(
  env: Environment,
): Pick<S3ClientConfig, 'endpoint' | 'requestChecksumCalculation' | 'responseChecksumValidation'> {
  const own = env.AWS_ENDPOINT_URL_S3 || env.AWS_ENDPOINT_URL
  if (!own) return {}
  if (!/^https?:$/.test(URL.parse(own)?.protocol ?? '')) {
    throw new UsageError('AWS_ENDPOINT_URL_S3 (or AWS_ENDPOINT_URL) must be an http or https URL')
  }
  return { endpoint: own, requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED' }
}

/** The client's settings from the environment. */
export function clientSettings(env: Environment, { stallMs = STALL_MS, attempts = 5 }: Patience): S3ClientConfig {
  const own = endpoint(env)
  const region = env.AWS_REGION || env.AWS_DEFAULT_REGION || (own.endpoint === undefined ? undefined : 'us-east-1')
  return {
    ...credentials(env),
    ...own,
    ...(region === undefined ? {} : { region }),
    forcePathStyle: env.AWS_S3_FORCE_PATH_STYLE === 'true',
    retryMode: 'standard',
    maxAttempts: attempts,
    requestHandler: {
      connectionTimeout: Math.min(5_000, stallMs),
      // Silence on the socket; a limit on the whole request would fail slow lines instead of dead ones.
      socketTimeout: stallMs,
      httpAgent: { maxSockets: 200 },
      httpsAgent: { maxSockets: 200 },
    },
  }
}
