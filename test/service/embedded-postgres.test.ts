import { once } from 'node:events'
import { readdir, readFile, stat, unlink, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { prepareBinaries } from '../../src/platform/embedded-postgres/binaries.ts'
import { openCluster } from '../../src/platform/embedded-postgres/cluster.ts'
import { openHome } from '../../src/platform/embedded-postgres/home.ts'
import { servesFrom } from '../../src/platform/embedded-postgres/postmaster.ts'
import { startServer } from '../../src/platform/embedded-postgres/server.ts'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { UsageError } from '../../src/platform/errors.ts'
import { query } from '../support/postgres.ts'
import { makePostgresDir, type PostgresDir, stopPostgresIn } from '../support/postgres-dir.ts'
import { spawnStarter } from '../support/postgres-starter.ts'

const ENTRY = join(import.meta.dirname, '../../src/platform/embedded-postgres.ts')
const log = () => {}

const writeRow = (url: string) => query(url, `drop table if exists kept; create table kept as select 'kept' as value`)
const readRow = (url: string) => query(url, 'select value from kept')
const KEPT = [{ value: 'kept' }]

// To make a cluster takes longer than all else: one is made by the first start there, and stands still between the tests.
let dir: PostgresDir
beforeAll(async () => {
  dir = await makePostgresDir()
})
afterEach(() => stopPostgresIn(dir))
afterAll(() => dir[Symbol.asyncDispose]())

describe('a start', () => {
  test('makes a durable database that is open to 127.0.0.1 and the password alone', async () => {
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(server.adopted).toBe(false)
    expect(new URL(server.url)).toMatchObject({ hostname: '127.0.0.1', pathname: '/teatree' })

    const settings = await query<{ name: string; setting: string }>(server.url, 'select name, setting from pg_settings')
    expect(Object.fromEntries(settings.map(({ name, setting }) => [name, setting]))).toMatchObject({
      listen_addresses: '127.0.0.1',
      unix_socket_directories: '',
      fsync: 'on',
      synchronous_commit: 'on',
      jit: 'off',
      TimeZone: 'UTC',
      server_encoding: 'UTF8',
      lc_messages: 'C',
    })
    const [database] = await query(
      server.url,
      'select datcollate, datctype from pg_database where datname = current_database()',
    )
    expect(database).toEqual({ datcollate: 'C', datctype: 'C' })
    const ways = await query(server.url, 'select distinct auth_method from pg_hba_file_rules')
    expect(ways).toEqual([{ auth_method: 'scram-sha-256' }])
    expect((await stat(join(dir.home, 'cluster/password'))).mode & 0o777).toBe(0o600)
    expect((await stat(join(dir.home, 'cluster'))).mode & 0o777).toBe(0o700)
  })

  test('refuses a wrong password, and none', async () => {
    const { url } = await startEmbeddedPostgres({ dir: dir.path, log })
    const wrong = new URL(url)
    wrong.password = 'wrong'
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ code: '28P01' })
    wrong.password = ''
    await expect(query(wrong.href, 'select 1')).rejects.toThrow(/password must be a.* string/)
  })

  test('finds the data of the run before', async () => {
    const first = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(first.url)
    await first.stop()
    const second = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(second.adopted).toBe(false)
    expect(await readRow(second.url)).toEqual(KEPT)
  })

  test('tries again where the chosen port was taken meanwhile', async () => {
    const home = await openHome(dir.path, log)
    const binaries = await prepareBinaries(home)
    const cluster = await openCluster(home, binaries, log)
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const taken = (other.address() as { port: number }).port
    let lost = 0
    const server = await startServer(home, binaries, cluster, async () => {
      lost += 1
      if (lost === 3) await new Promise(resolve => other.close(resolve))
      return taken
    })
    expect(lost).toBe(3)
    expect(server.port).toBe(taken)
  })

  test('at once with others lets one through, and the others adopt its server', async () => {
    await using dir = await makePostgresDir()
    // Of another process, and of this one.
    await using other = spawnStarter(ENTRY, dir.path)
    const starts = [
      other.started,
      startEmbeddedPostgres({ dir: dir.path, log }),
      startEmbeddedPostgres({ dir: dir.path, log }),
    ]
    const servers = (await Promise.all(starts)) as { url: string; adopted: boolean }[]
    expect(servers.filter(({ adopted }) => !adopted)).toHaveLength(1)
    expect(new Set(servers.map(({ url }) => url)).size).toBe(1)
    expect((await readdir(dir.home)).filter(name => name.includes('.new-'))).toEqual([])
  })
})

describe('a stop', () => {
  test('leaves no process, cuts open connections, and may be called again', async () => {
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    const client = new pg.Client({ connectionString: server.url })
    const errors: Error[] = []
    client.on('error', error => errors.push(error))
    await client.connect()
    const { rows } = await client.query<{ pid: number }>('select pid from pg_stat_activity')
    const pids = [await dir.postmasterPid(), ...rows.map(({ pid }) => pid)]
    expect(pids.length).toBeGreaterThan(3)

    await Promise.all([server.stop(), server.stop()])
    await server.stop()
    await vi.waitFor(() => expect(errors).toContainEqual(expect.objectContaining({ code: '57P01' })), {
      timeout: 30_000,
    })
    expect(await Promise.all(pids.map(pid => servesFrom(pid, dir.data)))).not.toContain(true)
    await expect(stat(dir.pidFile)).rejects.toMatchObject({ code: 'ENOENT' })
  })
})

describe('a start that cannot be', () => {
  async function failedStart(dir: string): Promise<string> {
    const error = await startEmbeddedPostgres({ dir, log }).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(UsageError)
    const { message } = error as UsageError
    expect(message).not.toContain('\n')
    return message
  }

  test('names both versions where the data is of another one, and leaves the data alone', async () => {
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(server.url)
    await server.stop()
    const file = join(dir.data, 'PG_VERSION')
    const version = await readFile(file, 'utf8')
    await writeFile(file, '9\n')
    expect(await failedStart(dir.path)).toMatch(/PostgreSQL 9 .*PostgreSQL \d\d\.\d/)
    await writeFile(file, version)
    expect(await readRow((await startEmbeddedPostgres({ dir: dir.path, log })).url)).toEqual(KEPT)
  })

  test('says what the log says, and leaves the data alone', async () => {
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(server.url)
    await server.stop()
    const extra = join(dir.data, 'postgresql.auto.conf')
    const before = await readFile(extra)
    await writeFile(extra, 'no_such_setting = 1\n')
    expect(await failedStart(dir.path)).toContain('unrecognized configuration parameter "no_such_setting"')
    await writeFile(extra, before)
    expect(await readRow((await startEmbeddedPostgres({ dir: dir.path, log })).url)).toEqual(KEPT)
  })

  test('never makes a database where something else is, or the password is lost', async () => {
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    const password = join(dir.home, 'cluster/password')
    const right = await readFile(password, 'utf8')
    await writeFile(password, 'another')
    expect(await failedStart(dir.path)).toContain('refuses the password')
    await unlink(password)
    expect(await failedStart(dir.path)).toContain('has no password')
    const version = join(dir.data, 'PG_VERSION')
    const major = await readFile(version, 'utf8')
    await unlink(version)
    expect(await failedStart(dir.path)).toContain('has no data/PG_VERSION')
    const url = new URL(server.url)
    expect(url.password).toBe(right)
    expect(await query(url.href, 'select 1 as one')).toEqual([{ one: 1 }])
    await writeFile(version, major)
    await writeFile(password, right)
  })
})
