import { randomBytes } from 'node:crypto'
import { chown, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UsageError } from '../errors.ts'
import { syncPath } from '../sync-path.ts'
import type { Binaries } from './binaries.ts'
import type { Home } from './home.ts'
import { ProgramError, runProgram } from './program.ts'

/** The one role. It owns the server, as the server has no other purpose. */
export const ROLE = 'teatree'

/** The data of one server, and the way in. */
export interface Cluster {
  /** PostgreSQL's data directory, absolute, without links. */
  readonly data: string
  readonly password: string
}

/**
 * The cluster in the home, made where there is none. Throws UsageError where what is there cannot be used; it is then
 * left as it is.
 */
export async function openCluster(home: Home, binaries: Binaries, log: (line: string) => void): Promise<Cluster> {
  await sweep(home)
  const folder = join(home.path, 'cluster')
  const data = join(folder, 'data')
  // An empty folder is as good as none: the rename replaces it.
  if ((await entries(folder)).length === 0) {
    log(`PostgreSQL ${binaries.version}: making a database in ${data}`)
    await makeCluster(home, folder, binaries)
  }
  const [version, password] = await Promise.all([read(join(data, 'PG_VERSION')), read(join(folder, 'password'))])
  if (!version || !password) {
    throw new UsageError(
      `${folder} is not empty and has no ${version ? 'password' : 'data/PG_VERSION'}: restore it, or move the folder away`,
    )
  }
  if (version !== binaries.major) {
    throw new UsageError(
      `The data in ${data} is of PostgreSQL ${version} and the server here is PostgreSQL ${binaries.version}: dump it with ` +
        `version ${version} and load it into a new folder, or go back to a Teatree that brings version ${version}`,
    )
  }
  return { data, password }
}

/** Made beside its place and renamed into it when whole, so that a kill at any time leaves a whole cluster or none. */
async function makeCluster(home: Home, folder: string, binaries: Binaries): Promise<void> {
  const fresh = join(home.path, `cluster.new-${process.pid}-${randomBytes(4).toString('hex')}`)
  const passwordFile = join(fresh, 'password')
  try {
    await mkdir(fresh, { mode: 0o700 })
    await writeFile(passwordFile, randomBytes(24).toString('base64url'), { mode: 0o600, flush: true })
    if (home.account) {
      for (const path of [passwordFile, fresh]) await chown(path, home.account.uid, home.account.gid)
    }
    await runProgram(home, binaries.initdb, [
      `--pgdata=${join(fresh, 'data')}`,
      `--username=${ROLE}`,
      `--pwfile=${passwordFile}`,
      '--auth=scram-sha-256', // every line of pg_hba.conf, also those of sockets and replication
      '--encoding=UTF8',
      '--locale=C',
      '--no-instructions',
    ])
    // A rename is only safe from a power cut once its folder is on the disk.
    await syncPath(fresh)
    await rename(fresh, folder)
    await syncPath(home.path)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true, maxRetries: 3 })
    // Another start was faster: that cluster it is.
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOTEMPTY' || code === 'EEXIST') return
    if (!(error instanceof ProgramError)) throw error
    throw new UsageError(`PostgreSQL could not make a database in ${home.path}: ${error.message}`, { cause: error })
  }
}

/** Removes what starts left behind that were killed on the way: their process id is in the name. */
async function sweep(home: Home): Promise<void> {
  for (const name of await entries(home.path)) {
    const maker = /^(?:cluster|postgresql-.+)\.new-(\d+)-/.exec(name)?.[1]
    if (maker === undefined || isAlive(Number(maker))) continue
    // Its initdb may still be writing there: what cannot be removed now is removed by the next start.
    await rm(join(home.path, name), { recursive: true, force: true }).catch(() => {})
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

async function entries(folder: string): Promise<string[]> {
  return await readdir(folder).catch(absent([]))
}

async function read(file: string): Promise<string> {
  return (await readFile(file, 'utf8').catch(absent(''))).trim()
}

/** For a file or folder that need not be there. Anything else, such as no right to look, must not pass for "none". */
function absent<T>(instead: T): (error: NodeJS.ErrnoException) => T {
  return error => {
    if (error.code === 'ENOENT') return instead
    throw error
  }
}
