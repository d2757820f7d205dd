import { S3ServiceException } from '@aws-sdk/client-s3'
import { errno } from '../errno.ts'
import { TeatreeError } from '../errors.ts'

const CREDENTIALS = 'AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, where there is one, AWS_SESSION_TOKEN'

const WHAT_TO_CHECK: Readonly<Record<string, string>> = {
  ExpiredToken: `says that the credentials have expired: renew ${CREDENTIALS}`,
  ExpiredTokenException: `says that the credentials have expired: renew ${CREDENTIALS}`,
  InvalidToken: `does not know the session token: check ${CREDENTIALS}`,
  InvalidAccessKeyId: `does not know the access key: check ${CREDENTIALS}`,
  SignatureDoesNotMatch: `refuses the secret key: check ${CREDENTIALS}`,
  CredentialsProviderError: `needs credentials and none were found: set ${CREDENTIALS}`,
  RequestTimeTooSkewed: "finds this machine's clock too far from its own: set the clock",
  NoSuchBucket: 'has no such bucket: check the bucket in TEATREE_STORE_URL',
  AuthorizationHeaderMalformed: 'expects another region: check AWS_REGION',
  PermanentRedirect: 'expects another region or endpoint: check AWS_REGION and AWS_ENDPOINT_URL_S3',
  TimeoutError: 'does not answer: check AWS_ENDPOINT_URL_S3 and the network',
  AbortError: 'does not answer in time: check AWS_ENDPOINT_URL_S3 and the network',
  PreconditionFailed: 'got another object under this key while it was read: read it again',
  QuotaExceeded: 'has no room left: raise its quota or make room',
}

/** The store's own name of an error; of a HEAD, which has no body to tell it, only the status is left. */
export function nameOf(error: unknown): string {
  return error instanceof Error ? error.name : 'unknown'
}

function statusOf(error: unknown): number | undefined {
  return error instanceof S3ServiceException ? error.$metadata.httpStatusCode : undefined
}

/** Whether the object is not there; a missing bucket is another matter (though a HEAD cannot tell them apart). */
export function isMissing(error: unknown): boolean {
  return nameOf(error) === 'NoSuchKey' || nameOf(error) === 'NotFound'
}

/** Whether the range begins at or behind the object's end. */
export function isPastEnd(error: unknown): boolean {
  return statusOf(error) === 416
}

function whatIsWrong(error: unknown): string {
  const known = WHAT_TO_CHECK[nameOf(error)]
  if (known !== undefined) return known
  const status = statusOf(error)
  if (status === 401 || status === 403) {
    return `refuses access: check ${CREDENTIALS}, and that they may read, write, list and delete in the bucket`
  }
  if (status !== undefined) return `answered ${status} (${nameOf(error)}): it is tried again`
  return `cannot be reached (${errno(error) ?? nameOf(error)}): check AWS_ENDPOINT_URL_S3, AWS_REGION and the network`
}

/**
 * What a failed request means: the store is away or refuses us, so UNAVAILABLE, naming what to check. The cause is a
 * copy with name, status and request id alone, for the SDK's own holds the store's answer, access key included.
 */
export function storeFault(error: unknown): TeatreeError {
  if (error instanceof TeatreeError) return error
  const requestId = error instanceof S3ServiceException ? error.$metadata.requestId : undefined
  const cause = Object.assign(new Error(error instanceof Error ? error.message : String(error)), {
    name: nameOf(error),
    code: errno(error),
    status: statusOf(error),
    requestId,
  })
  return new TeatreeError('UNAVAILABLE', `The object store ${whatIsWrong(error)}.`, { cause })
}
