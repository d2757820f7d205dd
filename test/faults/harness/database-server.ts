import { migrate } from '../../../src/jobs/migrate.ts'
import { startEmbeddedPostgres } from '../../../src/platform/embedded-postgres.ts'
import { createLog } from '../../../src/platform/log.ts'
import { makePostgresDir } from '../../support/postgres-dir.ts'
import { runSql } from '../../support/run-sql.ts'

/** The PostgreSQL of all schedules of a run: it can be stopped, killed and started again at its address. */
export interface DatabaseServer extends AsyncDisposable {
  /** An empty control database, brought to this release; its address. */
  create(name: string): Promise<string>
  drop(name: string): Promise<void>
  stop(): Promise<void>
  kill(): Promise<void>
  start(): Promise<void>
}

export async function startDatabaseServer(): Promise<DatabaseServer> {
  const stack = new AsyncDisposableStack()
  const dir = stack.use(await makePostgresDir())
  const open = () =>
    // A crash of the process alone loses nothing of what is not yet on disk.
    startEmbeddedPostgres({ dir: dir.path, log: () => {}, settings: { fsync: 'off', max_connections: '300' } })
  const server = await open()
  const { url } = server
  return {
    async create(name) {
      await runSql(url, `create database ${name}`)
      const made = new URL(url)
      made.pathname = `/${name}`
      await migrate(made.href, createLog({ name: 'faults', level: 'silent' }))
      return made.href
    },
    async drop(name) {
      await runSql(url, `drop database ${name} with (force)`)
    },
    async stop() {
      process.kill(await dir.postmasterPid(), 'SIGINT')
    },
    async kill() {
      process.kill(await dir.postmasterPid(), 'SIGKILL')
    },
    async start() {
      if (!(await server.revive())) throw new Error('PostgreSQL runs at another address')
    },
    [Symbol.asyncDispose]: () => stack.disposeAsync(),
  }
}
