import type { IncomingHttpHeaders } from 'node:http'
import { TeatreeError } from '../platform/errors.ts'
import type { User } from '../resolvers/index.ts'

/** Who calls, and until when that holds. */
export interface Caller {
  readonly user: User | null
  /** Milliseconds since 1970; null: for good. */
  readonly expiresAt: number | null
}

/** What a request, or a WebSocket as it connects, says of who calls. */
export interface Credentials {
  readonly headers: IncomingHttpHeaders
  /** The payload of `connection_init`. */
  readonly params?: Readonly<Record<string, unknown>> | undefined
}

/** Tells who calls; null where that cannot be told from what was said. */
export type Identify = (credentials: Credentials) => Promise<Caller | null>

/** `TEATREE_AUTH=off`: whoever reaches the server may call it. */
export const anybody: Identify = async () => ({ user: null, expiresAt: null })

/** @throws TeatreeError UNAUTHENTICATED */
export async function identified(identify: Identify, credentials: Credentials): Promise<Caller> {
  const caller = await identify(credentials)
  if (caller) return caller
  throw new TeatreeError('UNAUTHENTICATED', 'It is not known who calls; send credentials that hold.')
}

/** setTimeout takes no longer one. */
const MAX_TIMER_MS = 2 ** 31 - 1

/** Calls `onExpired` once the caller's credentials have expired, unless that is cancelled by the answer. */
export function atExpiry({ expiresAt }: Caller, onExpired: () => void): () => void {
  if (expiresAt === null) return () => {}
  let timer: NodeJS.Timeout
  const look = () => {
    const left = expiresAt - Date.now()
    if (left <= 0) onExpired()
    else timer = setTimeout(look, Math.min(left, MAX_TIMER_MS)).unref()
  }
  look()
  return () => clearTimeout(timer)
}
