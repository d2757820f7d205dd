/**
 * PostgreSQL for who has none: a real server, from the binaries that an npm package carries, with its data kept in a
 * folder. It runs detached and outlives the process that started it, so a start first looks for one to adopt.
 *
 *     dir/                    (or what the link dir/home leads to: see home.ts)
 *       cluster/              appears whole, by a rename, and is never made a second time
 *         data/               PostgreSQL's own
 *         password            of the one role; 0600
 *       cluster.new-PID-…/    a cluster in the making; swept once its maker is gone
 *       server.log, .log.1    bounded
 */
import { resolve } from 'node:path'
import { prepareBinaries } from './embedded-postgres/binaries.ts'
import { openCluster } from './embedded-postgres/cluster.ts'
import { openHome } from './embedded-postgres/home.ts'
import { type PostgresSettings, startServer, stopServer } from './embedded-postgres/server.ts'
import { keepLogBounded } from './embedded-postgres/server-log.ts'
import { UsageError } from './errors.ts'

export interface EmbeddedPostgres {
  /** Of the database `teatree`, on 127.0.0.1, with its password. The port is another one after every start. */
  readonly url: string
  /** Whether the server was running already. */
  readonly adopted: boolean
  /**
   * Starts the server again at its address, where it runs no longer. False where somebody else has, at another address.
   * Throws a UsageError where it does not start.
   */
  revive(): Promise<boolean>
  /**
   * Shuts the server down (open connections are cut, nothing committed is lost) and waits until it is gone, whoever
   * else adopted it. Calling it again is harmless.
   */
  stop(): Promise<void>
}

/**
 * Starts, or adopts, the PostgreSQL server that lives in `dir`, and answers with its URL. `dir` is made where it is
 * missing and belongs to the server; `log` gets a line for whatever an operator might want to know. `settings` go over
 * ours, where it is started.
 *
 * Throws a UsageError that says what to do where the server cannot run, or the data is not for it.
 */
export async function startEmbeddedPostgres(options: {
  dir: string
  log: (line: string) => void
  settings?: PostgresSettings
}): Promise<EmbeddedPostgres> {
  const { log, settings } = options
  try {
    const home = await openHome(resolve(options.dir), log)
    const binaries = await prepareBinaries(home)
    const cluster = await openCluster(home, binaries, log)
    let server = await startServer(home, binaries, cluster, undefined, settings)
    log(
      `PostgreSQL ${binaries.version} (process ${server.pid}, port ${server.port}) ` +
        `${server.adopted ? 'was running already' : 'started'} on ${cluster.data}`,
    )
    const releaseLog = keepLogBounded(home)
    let stopping: Promise<void> | undefined
    return {
      url: server.url,
      adopted: server.adopted,
      async revive() {
        const { port } = server
        const found = await startServer(home, binaries, cluster, async () => port, settings)
        if (found.port !== port) return false
        server = found
        return true
      },
      stop() {
        stopping ??= stopServer(server.pid, cluster.data).then(releaseLog, error => {
          stopping = undefined
          throw error
        })
        return stopping
      },
    }
  } catch (error) {
    throw isSystemError(error)
      ? new UsageError(`PostgreSQL cannot be started in ${options.dir}: ${error.message}`, { cause: error })
      : error
  }
}

/** What the operating system refused: no room, no right, read-only. Its message names the call and the path. */
function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error
}
