import { mkdtemp, readdir, readFile, readlink, realpath, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openHome } from '../../src/platform/embedded-postgres/home.ts'
import { findPostmaster } from '../../src/platform/embedded-postgres/postmaster.ts'
import { stopServer } from '../../src/platform/embedded-postgres/server.ts'

const PREFIX = 'teatree-test-postgres-'

/** A temporary folder for an embedded server. Disposing of it stops whatever still runs there and removes it all. */
export interface PostgresDir extends AsyncDisposable {
  readonly path: string
  /** Where the server's files are: as root, under a closed TMPDIR, not in the folder itself. */
  readonly home: string
  /** PostgreSQL's data directory, once there is one. */
  readonly data: string
  readonly pidFile: string
  /** The process id in the pid file. */
  postmasterPid(): Promise<number>
}

export async function makePostgresDir(): Promise<PostgresDir> {
  // Our process id is in the name, for `sweepPostgresDirs`.
  const path = await realpath(await mkdtemp(join(tmpdir(), `${PREFIX}${process.pid}-`)))
  const { path: home } = await openHome(path, () => {})
  const data = join(home, 'cluster', 'data')
  const pidFile = join(data, 'postmaster.pid')
  return {
    path,
    home,
    data,
    pidFile,
    postmasterPid: async () => Number.parseInt(await readFile(pidFile, 'utf8'), 10),
    [Symbol.asyncDispose]: () => removePostgresDir(path),
  }
}

/** Stops whatever runs there; the data stays. */
export async function stopPostgresIn({ data }: Pick<PostgresDir, 'data'>): Promise<void> {
  const postmaster = await findPostmaster(data)
  if (postmaster) await stopServer(postmaster.pid, data)
}

/** Removes the folders of test processes that were killed, and stops their servers. */
export async function sweepPostgresDirs(): Promise<void> {
  const base = await realpath(tmpdir())
  for (const name of await readdir(base)) {
    const maker = name.startsWith(PREFIX) ? Number.parseInt(name.slice(PREFIX.length), 10) : undefined
    if (!maker || isAlive(maker)) continue
    const path = join(base, name)
    // Other users' are theirs to sweep; one that is gone was swept by another run.
    const owner = (await stat(path).catch(() => undefined))?.uid
    if (owner !== undefined && owner === process.getuid?.()) await removePostgresDir(path)
  }
}

export async function removePostgresDir(path: string): Promise<void> {
  const moved = await readlink(join(path, 'home')).catch(() => undefined)
  for (const home of moved ? [moved, path] : [path]) {
    await stopPostgresIn({ data: join(home, 'cluster', 'data') })
    await rm(home, { recursive: true, force: true, maxRetries: 3 })
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
