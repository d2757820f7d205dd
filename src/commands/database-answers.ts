import { setTimeout as wait } from 'node:timers/promises'
import pg from 'pg'
import type { Log } from '../platform/log.ts'

const CONNECT_MS = 5000
const AGAIN_MS = 1000
/** Nobody is there, or who is there starts or stops, or has too much to do: that passes. */
const AWAY = /^(ECONN(REFUSED|RESET)|E(HOST|NET)UNREACH|ETIMEDOUT|EPIPE|EAI_AGAIN|57P0\d|53\d{3}|08\w{3})$/
const AWAY_WORDS = /timeout expired|terminated/i

/**
 * Settles once PostgreSQL answers at `url`: a platform may be started before its database. That it waits is said once, and that
 * it waits no more.
 * @throws what does not pass by itself: an unknown host, user or database; and the signal's reason
 */
export async function databaseAnswers(url: string, { log, signal }: { log: Log; signal: AbortSignal }): Promise<void> {
  for (let isWaiting = false; ; isWaiting = true) {
    signal.throwIfAborted()
    try {
      await ask(url)
      if (isWaiting) log.info('the database answers')
      return
    } catch (error) {
      if (!isAway(error)) throw error
      if (!isWaiting) log.warn({ err: error }, 'the database does not answer yet; the start waits for it')
    }
    await wait(AGAIN_MS, undefined, { signal }).catch(() => {})
  }
}

async function ask(url: string): Promise<void> {
  const client = new pg.Client({
    connectionString: url,
    application_name: 'teatree start',
    connectionTimeoutMillis: CONNECT_MS,
  })
  // One that is lost as it is ended says so to nobody.
  client.on('error', () => {})
  try {
    await client.connect()
  } finally {
    await client.end().catch(() => {})
  }
}

function isAway(error: unknown): boolean {
  const { code, message } = error as { code?: unknown; message?: unknown }
  return typeof code === 'string' ? AWAY.test(code) : AWAY_WORDS.test(String(message))
}
