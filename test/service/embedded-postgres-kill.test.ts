import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { servesFrom } from '../../src/platform/embedded-postgres/postmaster.ts'
import { startEmbeddedPostgres } from '../../src/platform/embedded-postgres.ts'
import { query } from '../support/postgres.ts'
import { makePostgresDir, type PostgresDir, stopPostgresIn } from '../support/postgres-dir.ts'
import { killStarter, spawnStarter } from '../support/postgres-starter.ts'

const ENTRY = join(import.meta.dirname, '../../src/platform/embedded-postgres.ts')
const log = () => {}

const writeRow = (url: string) => query(url, `drop table if exists kept; create table kept as select 'kept' as value`)
const readRow = (url: string) => query(url, 'select value from kept')
const KEPT = [{ value: 'kept' }]

// To make a cluster takes longer than all else: where that is not the point, it is one, which stands still between the tests.
let dir: PostgresDir
beforeAll(async () => {
  dir = await makePostgresDir()
})
afterEach(() => stopPostgresIn(dir))
afterAll(() => dir[Symbol.asyncDispose]())

/** kill -9 of the server itself, waited for. */
async function killPostmaster(dir: PostgresDir): Promise<number> {
  const pid = await dir.postmasterPid()
  process.kill(pid, 'SIGKILL')
  await vi.waitFor(async () => expect(await servesFrom(pid, dir.data)).toBe(false), { timeout: 30_000 })
  return pid
}

describe('after kill -9', () => {
  test('of the process that started it, the server is adopted', async () => {
    await using starter = spawnStarter(ENTRY, dir.path)
    const started = await starter.started
    await killStarter(starter, true)
    const pid = await dir.postmasterPid()
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(server).toMatchObject({ ...started, adopted: true })
    expect(await dir.postmasterPid()).toBe(pid)
    await server.stop()
    expect(await servesFrom(pid, dir.data)).toBe(false)
  })

  test('in the middle of making the database, nothing half is left and the next start makes it', async () => {
    await using dir = await makePostgresDir()
    await using starter = spawnStarter(ENTRY, dir.path)
    await vi.waitFor(
      async () => {
        const fresh = (await readdir(dir.home)).find(name => name.startsWith('cluster.new-'))
        expect(await readdir(join(dir.home, fresh ?? 'none', 'data'))).toContain('PG_VERSION')
      },
      { interval: 5, timeout: 30_000 },
    )
    await killStarter(starter, true)
    expect(await readdir(dir.home)).not.toContain('cluster')
    const server = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }])
    expect((await readdir(dir.home)).filter(name => name.includes('.new-'))).toEqual([])
  })

  test('of the server, its data is recovered in spite of the pid file it left', async () => {
    const first = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(first.url)
    const pid = await killPostmaster(dir)
    expect(await dir.postmasterPid()).toBe(pid)
    const second = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(second.adopted).toBe(false)
    expect(await readRow(second.url)).toEqual(KEPT)
  })

  test('of the server, a stranger who got its process id is neither adopted nor harmed', async () => {
    const first = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(first.url)
    await killPostmaster(dir)
    // Of the server's own account: PostgreSQL by itself would refuse to start as long as the stranger lives.
    const { uid, gid } = await stat(dir.data)
    const stranger = spawn('sleep', ['600'], { uid, gid, stdio: 'ignore' })
    await once(stranger, 'spawn')
    const lines = (await readFile(dir.pidFile, 'utf8')).split('\n')
    await writeFile(dir.pidFile, [String(stranger.pid), ...lines.slice(1)].join('\n'))

    const second = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(second.adopted).toBe(false)
    expect(await readRow(second.url)).toEqual(KEPT)
    await second.stop()
    expect(stranger.signalCode).toBeNull()
    stranger.kill()
    await once(stranger, 'exit')
  })

  test('of a server between making its pid file and filling it, the empty file is no obstacle', async () => {
    const first = await startEmbeddedPostgres({ dir: dir.path, log })
    await writeRow(first.url)
    await killPostmaster(dir)
    await writeFile(dir.pidFile, '')
    await utimes(dir.pidFile, 0, 0)
    const second = await startEmbeddedPostgres({ dir: dir.path, log })
    expect(await readRow(second.url)).toEqual(KEPT)
  })
})
