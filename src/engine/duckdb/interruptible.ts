import type { DuckDBConnection } from '@duckdb/node-api'

/** DuckDB forgets an interrupt that comes between two statements, so it is said until the work has stopped. */
const EVERY_MS = 10

/**
 * Does the work on the connection, and stops it with the signal's reason once that is aborted. It settles when nothing
 * runs on the connection any more: the work that it stops by `stopped`, which else is that the work has settled. Work
 * that waits for something else than the database may then still be waiting, and must not get at the connection again.
 */
export async function interruptible<T>(
  connection: DuckDBConnection,
  signal: AbortSignal,
  work: () => Promise<T>,
  stopped?: () => Promise<void>,
): Promise<T> {
  signal.throwIfAborted()
  const aborted = Promise.withResolvers<never>()
  const onAbort = () => aborted.reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  const working = work()
  try {
    return await Promise.race([working, aborted.promise])
  } catch (error) {
    if (!signal.aborted) throw error
    await stop(connection, stopped ? stopped() : working)
    throw signal.reason
  } finally {
    signal.removeEventListener('abort', onAbort)
    working.catch(() => {})
  }
}

async function stop(connection: DuckDBConnection, settled: Promise<unknown>): Promise<void> {
  connection.interrupt()
  const interrupting = setInterval(() => connection.interrupt(), EVERY_MS)
  try {
    await settled.catch(() => {})
  } finally {
    clearInterval(interrupting)
  }
}
