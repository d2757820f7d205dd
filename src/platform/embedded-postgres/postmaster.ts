import { execFile } from 'node:child_process'
import { readFile, readlink, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'

const execute = promisify(execFile)

/** How old an empty pid file must be to count as left behind: a server fills it within microseconds. */
const EMPTY_FILE_MS = 1_000

/** The server's main process. */
export interface Postmaster {
  readonly pid: number
  /** undefined while it does not take connections: starting, recovering, stopping. */
  readonly port: number | undefined
}

/** The server that runs on the data directory at this moment. */
export async function findPostmaster(data: string): Promise<Postmaster | undefined> {
  const named = await readPidFile(data)
  return named && (await servesFrom(named.pid, data)) ? named : undefined
}

/**
 * Whether a process is a server on the data directory. Its being alive does not tell: the process id in a pid file
 * left behind may have been given to another program since, and a zombie counts as alive. A server works in its data
 * directory, though.
 */
export async function servesFrom(pid: number, data: string): Promise<boolean> {
  try {
    if (process.platform === 'linux') return (await readlink(`/proc/${pid}/cwd`)) === data
    const { stdout } = await execute('ps', ['-ww', '-o', 'command=', '-p', String(pid)])
    return stdout.includes(`-D ${data}`)
  } catch {
    return false
  }
}

/**
 * The process id in a pid file left behind. PostgreSQL refuses to start over the file while any process of the
 * server's account has that id, be it a stranger's; it has to be told that the file is stale.
 */
export async function stalePid(data: string): Promise<number | undefined> {
  const named = await readPidFile(data)
  return named && !(await servesFrom(named.pid, data)) ? named.pid : undefined
}

/** Removes a pid file with nothing in it, as a kill between its making and its filling leaves it: no start passes it. */
export async function removeEmptyPidFile(data: string): Promise<void> {
  const found = await stat(pidFile(data)).catch(() => undefined)
  if (found?.size === 0 && Date.now() - found.mtimeMs > EMPTY_FILE_MS) await rm(pidFile(data), { force: true })
}

/** Its lines: process id, data directory, start, port, socket folder, address, shared memory, state. */
async function readPidFile(data: string): Promise<Postmaster | undefined> {
  const lines = (await readFile(pidFile(data), 'utf8').catch(() => '')).split('\n')
  const pid = Math.abs(Number(lines[0])) // negative: a server in single-user mode
  if (!pid) return undefined
  return { pid, port: lines[7]?.trim() === 'ready' ? Number(lines[3]) : undefined }
}

function pidFile(data: string): string {
  return join(data, 'postmaster.pid')
}
