import { type ChildProcess, spawn } from 'node:child_process'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { UsageError } from '../errors.ts'
import type { Binaries } from './binaries.ts'
import { type Cluster, ROLE } from './cluster.ts'
import type { Home } from './home.ts'
import { findPostmaster, removeEmptyPidFile, servesFrom, stalePid } from './postmaster.ts'
import { programEnvironment, programOptions } from './program.ts'
import { endOfLog, openLog } from './server-log.ts'

const DATABASE = 'teatree'
const ADDRESS = '127.0.0.1'

/** By the names of postgresql.conf. */
export type PostgresSettings = Readonly<Record<string, string>>

/**
 * Given on the command line, so that they hold for data of any age. Durable above all; otherwise for a small, busy
 * database beside the platform's own processes. The log names no values of rows and no statements.
 */
const SETTINGS: PostgresSettings = {
  listen_addresses: ADDRESS,
  unix_socket_directories: '', // one way in is enough, and paths of sockets have a short limit
  password_encryption: 'scram-sha-256',
  max_connections: '200',
  shared_buffers: '64MB',
  max_wal_size: '512MB',
  fsync: 'on',
  full_page_writes: 'on',
  synchronous_commit: 'on',
  io_method: 'sync', // no worker processes for reads that the operating system has cached
  jit: 'off',
  timezone: 'UTC',
  log_timezone: 'UTC',
  lc_messages: 'C',
  log_checkpoints: 'off',
  log_error_verbosity: 'terse',
  log_min_error_statement: 'panic',
}

const POLL_MS = 50
const START_MS = 120_000
const STOP_MS = 60_000
const ANSWER_MS = 5_000

/** How often a start is tried: over a port lost to another program, or remains of a killed server that are still ending. */
const ATTEMPTS = 6

export interface Server {
  readonly pid: number
  readonly port: number
  readonly url: string
  readonly adopted: boolean
}

/**
 * Adopts the server that runs on the cluster, or starts one, with `own` settings over ours. Of several starts at once PostgreSQL's own lock lets one
 * through, and the others find that one's server. A server that is starting, recovering or stopping is waited for.
 */
export async function startServer(
  home: Home,
  binaries: Binaries,
  cluster: Cluster,
  choosePort: () => Promise<number> = freePort,
  own: PostgresSettings = {},
): Promise<Server> {
  const deadline = performance.now() + START_MS
  let child: ChildProcess | undefined
  let logStart = 0
  let failures = 0
  for (;;) {
    const running = await findPostmaster(cluster.data)
    if (running?.port !== undefined && (await answers(cluster, running.port))) {
      const { pid, port } = running
      return { pid, port, url: urlOf(cluster, port, DATABASE), adopted: pid !== child?.pid }
    }
    if (child && hasEnded(child)) {
      child = undefined
      failures += 1
    }
    if (!running && !child) {
      if (failures === ATTEMPTS) {
        const said = await endOfLog(home, logStart)
        throw new UsageError(`PostgreSQL does not start on ${cluster.data}. Its log ends: ${said}`)
      }
      ;({ child, logStart } = await launch(home, binaries, cluster, { ...own, port: String(await choosePort()) }))
    }
    if (performance.now() > deadline) {
      const said = await endOfLog(home, logStart)
      throw new UsageError(
        `PostgreSQL on ${cluster.data} has not answered for ${START_MS / 1000} s. Its log ends: ${said}`,
      )
    }
    await delay(POLL_MS * 2 ** failures)
  }
}

/** Fast shutdown. Returns once the process is gone; throws where it is not within a minute. */
export async function stopServer(pid: number, data: string): Promise<void> {
  const deadline = performance.now() + STOP_MS
  for (let asked = false; await servesFrom(pid, data); await delay(POLL_MS)) {
    if (!asked) interrupt(pid)
    asked = true
    if (performance.now() > deadline) throw new Error(`PostgreSQL (process ${pid}) does not stop on ${data}`)
  }
}

function interrupt(pid: number): void {
  try {
    process.kill(pid, 'SIGINT')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // else it ended this moment
  }
}

/**
 * Without pg_ctl: that starts the server through a shell and believes any process to be the server whose id is in the
 * pid file. Detached, so that neither our end nor a Ctrl-C at the terminal reaches it.
 */
async function launch(
  home: Home,
  binaries: Binaries,
  cluster: Cluster,
  own: PostgresSettings,
): Promise<{ child: ChildProcess; logStart: number }> {
  await removeEmptyPidFile(cluster.data)
  const stale = await stalePid(cluster.data)
  const settings = Object.entries({ ...SETTINGS, ...own })
  const log = await openLog(home)
  try {
    const { size: logStart } = await log.stat()
    const child = spawn(
      binaries.postgres,
      ['-D', cluster.data, ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`])],
      {
        ...programOptions(home),
        detached: true,
        stdio: ['ignore', log.fd, log.fd],
        // PostgreSQL takes a pid file with the id of its own grandparent for stale: the way to tell it without touching
        // the file, which another start may be replacing at this moment.
        env: { ...programEnvironment(), ...(stale !== undefined && { PG_GRANDPARENT_PID: String(stale) }) },
      },
    )
    await new Promise((resolve, reject) => child.once('spawn', resolve).once('error', reject))
    child.unref()
    return { child, logStart }
  } finally {
    await log.close()
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null
}

/**
 * Whether it is our server and open for work: it took our password, proved that it knows it (as SCRAM does both ways),
 * and works on our data. Makes the database where it is missing. Throws UsageError where it refused the password.
 */
async function answers(cluster: Cluster, port: number): Promise<boolean> {
  const client = new pg.Client({
    connectionString: urlOf(cluster, port, 'postgres'),
    ssl: false,
    connectionTimeoutMillis: ANSWER_MS,
    query_timeout: ANSWER_MS,
  })
  client.on('error', () => {}) // a connection that breaks while idle; the query then says so
  try {
    await client.connect()
    const { rows } = await client.query<{ data: string; made: boolean }>(
      `select current_setting('data_directory') as data, exists (select from pg_database where datname = $1) as made`,
      [DATABASE],
    )
    if (rows[0]?.data !== cluster.data) return false
    if (!rows[0].made) await client.query(`create database ${DATABASE}`)
    return true
  } catch (error) {
    if ((error as { code?: string }).code === '28P01') {
      throw new UsageError(
        `The PostgreSQL on ${cluster.data} refuses the password in the file beside it: restore that file`,
      )
    }
    // Anything else may pass: shutting down, all connections taken, the database being made by another start.
    return false
  } finally {
    await client.end().catch(() => {})
  }
}

function urlOf(cluster: Cluster, port: number, database: string): string {
  return `postgres://${ROLE}:${cluster.password}@${ADDRESS}:${port}/${database}`
}

/** A port that is free now; it may be taken before the server has it. */
function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once('error', reject)
    probe.listen(0, ADDRESS, () => {
      const address = probe.address()
      probe.close(() => resolve(typeof address === 'object' && address ? address.port : 0))
    })
  })
}
